# SPDX-License-Identifier: Apache-2.0
"""Stages that share workers: what one worker runs, one table after another.

A stage with `resources` opens an operator; the stages after it that have none run in the same workers.
So a light stage (nouns, select, score) costs no process and no copy of the images.
"""

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from models.backends.protocols import BackendError
from pipeline.errors import UserError
from pipeline.isolation import check_deaths, isolated
from stages.attempts import Attempts, Notes
from stages.backend import backends_of
from stages.base import Resources, Stage, StageError, TableFunction
from stages.columns import DEATHS, OK, SECONDS
from stages.shard.files import place_of

NO_NOTES = Notes()


@dataclass(frozen=True, slots=True)
class Operator:
    """Consecutive stages and the workers that run them."""

    stages: tuple[tuple[str, Stage], ...]
    resources: Resources

    @property
    def name(self) -> str:
        """`caption+nouns`."""
        return "+".join(name for name, _ in self.stages)


class Worker:
    """Runs an operator's stages on shards; building one loads the models."""

    def __init__(self, operator: Operator, notes: Notes = NO_NOTES) -> None:
        self._operator = operator
        self._notes = notes
        # Whichever stage opened the workers, its resources are those of all that run in them.
        self._functions = [
            (name, _started(name, replace(stage, resources=operator.resources)), stage.whole)
            for name, stage in operator.stages
        ]

    def __call__(self, table: pa.Table, attempts: Attempts | None = None) -> pa.Table:
        """The table after all stages, with a column for each but a shard's last: its seconds, in every row
        that it worked on. No rows, where a run is stopping, stay none.

        Args:
            table: a whole shard's rows.
            attempts: the notes about it, if it has been begun to work on already.

        Raises:
            StageError: if a stage loses rows, or if the shard goes on killing workers.
        """
        if not table.num_rows:
            return table
        shard = place_of(table["key"][0].as_py())[0]
        attempts = attempts or self._notes.about(shard, self._operator.name)
        explained = sum(len(attempts.culprits(name)) for name, _, _ in self._functions)
        check_deaths(attempts, shard, self._operator.name, explained)
        if attempts.deaths:
            field = pa.field(f"{DEATHS}{self._operator.name}", pa.int64())
            table = table.append_column(field, pa.array([len(attempts.deaths)] * table.num_rows, field.type))
        for name, function, whole in self._functions:
            table = _timed(name, partial(isolated, name, function, attempts=attempts, whole=whole), table)
            if "key" not in table.column_names:
                break
        attempts.end()
        return table


def _timed(name: str, function: TableFunction, table: pa.Table) -> pa.Table:
    started = time.perf_counter()
    keys, alive = table["key"], [status == OK for status in table["status"].to_pylist()]
    table = function(table)
    if "key" not in table.column_names:
        return table
    if not table["key"].equals(keys):
        raise StageError(f"stage '{name}' does not return the rows that it was given, in their order")
    share = (time.perf_counter() - started) / max(sum(alive), 1)
    seconds = pa.array([share if worked else None for worked in alive], pa.float64())
    return table.append_column(SECONDS + name, seconds)


def _started(name: str, stage: Stage) -> TableFunction:
    try:
        return stage.setup()
    except BackendError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise StageError(f"stage '{name}' cannot start: {what} ({place.filename}:{place.lineno})") from error


def operators(stages: Mapping[str, Stage]) -> list[Operator]:
    """Group a chain; the first operator reads the source."""
    groups: list[tuple[list[tuple[str, Stage]], Resources]] = []
    for name, stage in stages.items():
        if stage.resources is not None or not groups:
            groups.append(([], stage.resources or Resources()))
        groups[-1][0].append((name, stage))
    return [Operator(tuple(group), resources) for group, resources in groups]


def needed_cpus(chain: list[Operator]) -> float:
    """CPUs that the whole chain holds while it runs."""
    return sum(operator.resources.workers * operator.resources.cpus for operator in chain)


def needed_gpus(chain: list[Operator]) -> float:
    """GPUs that the whole chain holds while it runs."""
    return sum(operator.resources.workers * operator.resources.gpus for operator in chain)


def check_devices(chain: Sequence[Operator]) -> None:
    """Refuse a backend on a GPU in workers that hold none, from whom Ray would hide every GPU, and parts of
    GPUs beside whole ones, which Ray does not give.

    Raises:
        UserError: naming the stage.
    """
    for operator in chain:
        gpus = operator.resources.gpus
        if gpus > 1 and gpus % 1:
            raise UserError(
                f"stages.{operator.stages[0][0]}.resources.gpus is {gpus:g}; a worker holds a part of one "
                "GPU, or whole ones"
            )
        for name, stage in operator.stages:
            for field, backend in backends_of(stage).items():
                if str(getattr(backend, "device", "")).startswith("cuda") and not operator.resources.gpus:
                    opened = operator.stages[0][0]
                    raise UserError(
                        f"stages.{name}.{field}.device is {backend.device} but its workers hold no GPU; "  # pyright: ignore[reportAttributeAccessIssue]
                        f"set stages.{opened}.resources.gpus, or the device to auto or cpu"
                    )


def check_capacity(chain: list[Operator], cpus: float, gpus: float, where: str) -> None:
    """Refuse what could only hang: every operator must be able to hold its workers at the same time.

    Raises:
        UserError: with the sum, and what there is.
    """
    for need, there, unit in ((needed_cpus(chain), cpus, "CPUs"), (needed_gpus(chain), gpus, "GPUs")):
        if need > there + 1e-6:
            parts = ", ".join(
                f"{o.name} {o.resources.workers} x {getattr(o.resources, unit.lower()):g}" for o in chain
            )
            raise UserError(
                f"the stages hold {need:g} {unit} ({parts}) but {where} has {there:g}; "
                f"lower stages.NAME.resources.workers or .{unit.lower()}"
            )


def spare_line(chain: Sequence[Operator], nodes: Sequence[Mapping[str, float]]) -> str:
    """What would be missing if the largest node were lost; empty if the rest could hold all workers, or if
    there is only one node.

    Args:
        chain: the operators.
        nodes: each node's resources, `CPU` and `GPU` among them.
    """
    if len(nodes) < 2:
        return ""
    short = []
    for need, unit in ((needed_cpus([*chain]), "CPU"), (needed_gpus([*chain]), "GPU")):
        held = [node.get(unit, 0.0) for node in nodes]
        if need > (left := sum(held) - max(held)) + 1e-6:
            short.append(f"{left:g} {unit}s of the {need:g} that the stages hold")
    lost = " and ".join(short)
    return f"if the largest node is lost, only {lost} are left, and the run waits for another" if lost else ""
