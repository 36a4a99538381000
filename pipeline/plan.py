# SPDX-License-Identifier: Apache-2.0
"""What a build would do: its stages, columns, workers, and how many shards are missing."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from pipeline.config import BuildConfig
from pipeline.operators import needed_cpus, needed_gpus, operators
from pipeline.wording import counted


def plan_table(config: BuildConfig) -> Table:
    """One line a stage: what it reads and writes, which model, which workers."""
    table = Table("stage", "reads", "writes", "model", "workers", box=None, header_style="bold")
    for operator in operators(config.stages):
        resources = operator.resources
        gpus = f" + {resources.gpus:g} GPU" if resources.gpus else ""
        for place, (name, stage) in enumerate(operator.stages):
            held = f"{resources.workers} x {resources.cpus:g} CPU{gpus}" if place == 0 else "(same workers)"
            models = ", ".join(_models(stage))
            table.add_row(name, ", ".join(stage.inputs), ", ".join(stage.outputs.names), models, held)
    return table


def capacity_lines(config: BuildConfig) -> list[str]:
    """CPUs and GPUs that the chain holds, against this machine's."""
    chain = operators(config.stages)
    cpus, gpus = needed_cpus(chain), needed_gpus(chain)
    cpus_here, gpus_here = os.cpu_count() or 1, _gpus_here()
    fits = cpus <= cpus_here and gpus <= gpus_here
    verdict = "fits" if fits else "does not fit on this machine alone; give --address"
    here = f"{counted(cpus_here, 'CPU')} and {counted(gpus_here, 'GPU')}"
    return [f"holds {cpus:g} CPUs and {gpus:g} GPUs; this machine has {here}: {verdict}"]


def shard_line(config: BuildConfig, source: str | None, output: Path | None, limit: int | None) -> str:
    """Shards done and to do, as far as input and output are known; reads names and local weights' bytes.

    Raises:
        UserError: where a build would refuse input or output.
    """
    from pipeline.sources.shards import shard_count
    from pipeline.survey import Request, opened, survey

    if source is None:
        return "shards: give --input to count them"
    if output is not None:
        outlook = survey(Request(config, source, output, limit))
        if outlook.planned:
            return outlook.job().line()
    done, items = 0, opened(config, source, output).listing().slice(0, limit).num_rows
    shards = shard_count(items, config.shard_size)
    of = f"{counted(shards, 'shard')} of {config.shard_size}"
    return f"{counted(items, 'image')} in {of}: {done} done, {shards - done} to do"


def _gpus_here() -> int:
    """NVIDIA's, by its driver's own list: asking torch would take seconds."""
    listing = Path("/proc/driver/nvidia/gpus")
    return len(list(listing.iterdir())) if listing.is_dir() else 0


def _models(stage: object) -> Iterator[str]:
    for field in dataclasses.fields(stage):  # pyright: ignore[reportArgumentType]
        value = getattr(stage, field.name)
        if hasattr(value, "load"):
            yield str(getattr(value, "model", type(value).__name__))
