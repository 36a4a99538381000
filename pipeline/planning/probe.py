# SPDX-License-Identifier: Apache-2.0
"""A few pictures through a chain's real stages, one operator after another, each in a process of its own.

So an operator's time and memory are its own, and a GPU is all its own.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

import pyarrow as pa

from models.backends.protocols import BackendError
from pipeline.config import BuildConfig
from pipeline.dataset.layout import committed_shards, split_folder
from pipeline.dataset.timings import read_timings
from pipeline.dataset.totals import totals
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.operators import NO_NOTES, Operator, StageError, Worker, check_devices, operators
from pipeline.planning.machine import Machine, measured_machine, processor
from pipeline.planning.measured import Measured, OperatorCost, settings_of
from pipeline.planning.sample import Sample
from pipeline.survey import Request, begin, survey
from stages.peak_memory import peak_of_process
from stages.write import WriteError

T = TypeVar("T")
Tell = Callable[[str], None]


class _Gpu(NamedTuple):
    used: int
    total: int
    name: str


@dataclass(frozen=True, slots=True)
class _Run:
    """What a process found out."""

    tables: list[pa.Table]
    """The operator's output for every shard."""
    seconds: float
    cpu_seconds: float
    load: float
    memory: int
    row: float
    """Bytes of a row, as it comes in and as it goes out."""
    gpu: _Gpu


def probe(config: BuildConfig, source: Sample, tell: Tell) -> Measured:
    """Measure a chain.

    Args:
        config: of the build.
        source: the pictures to measure, in shards of whole batches as far as there are enough; the first
            shard, which is as large as the build's if there are enough, is worked on once before, so that the
            loading of models and whatever is compiled does not count as speed. Pictures that fill no shard
            are left out.
        tell: of progress, a line an operator.

    Raises:
        UserError: there are no pictures, weights or devices are missing, or a stage does not do what it has
            to.
    """
    check_devices(operators(config.stages))
    if not source.rows.num_rows:
        raise UserError(f"{source.location}: no pictures to measure; give another --input")
    tell("probe: the machine")
    machine = _alone(measured_machine)
    with TemporaryDirectory(prefix="subjectforge-probe-") as folder:
        size, count = _whole_batches(config, source.rows.num_rows, tell)
        small = replace(config, shard_size=size)
        job = begin(survey(Request(small, source.first(count), Path(folder))))
        chain, runs = job.chain(""), []
        tables: list[pa.Table] = []
        for operator in chain:
            tell(f"probe: {operator.name}, {job.items} images")
            try:
                run = _alone(_measured, operator, job, tables)
            except (BackendError, StageError, WriteError) as error:
                raise UserError(str(error)) from error
            runs.append(run)
            tables = run.tables
        return _found(job, chain, runs, machine, size)


def largest_batch(config: BuildConfig) -> tuple[str, int]:
    """The stage that takes the most images at a time, and how many."""
    sizes = {name: getattr(stage, "batch_size", 1) for name, stage in config.stages.items()}
    name = max(sizes, key=lambda stage: sizes[stage])
    return name, sizes[name]


def _whole_batches(config: BuildConfig, there: int, tell: Tell) -> tuple[int, int]:
    """How many images a shard has, and how many there are in all: a batch that is not full costs as much."""
    name, batch = largest_batch(config)
    most = min(batch, config.shard_size)
    if there < most:
        tell(f"probe: {there} images do not fill a batch of {name} ({most}), whose time is told too high")
        return there, there
    # As many batches as there are: pictures of the next are decoded while the model is at one.
    size = min(config.shard_size, there // most * most)
    if there % size:
        tell(
            f"probe: {there // size * size} of {there} images: shards are of {size}, which are whole batches"
        )
    return size, there // size * size


def _alone(work: Callable[..., T], *given: object) -> T:
    """In a process that has loaded nothing yet."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(work, *given).result()
        except BrokenProcessPool as error:
            raise UserError(
                "the probe's process died (out of memory, or a crash in native code); give it more memory, "
                "or lower the stages' batch_size"
            ) from error


def _measured(operator: Operator, job: Job, before: Sequence[pa.Table]) -> _Run:
    def table(place: int) -> pa.Table:
        shard = job.todo[place]
        return before[place] if before else job.read(shard, NO_NOTES.about(shard, operator.name))

    # What came before, the process and what every one imports, is part of the time that Ray takes to start.
    began = time.perf_counter()
    worker = Worker(operator)
    worker(table(0))
    ready = time.perf_counter() - began
    for shard in committed_shards(job.root, job.split):
        # It counts as not written, or writing it would cost nothing.
        shard.stats.unlink()
    used, spans, tables = time.process_time(), [], []
    for place in range(len(job.todo)):
        since = time.perf_counter()
        tables.append(worker(table(place)))
        spans.append(time.perf_counter() - since)
    return _Run(
        tables,
        sum(spans) / job.items,
        (time.process_time() - used) / job.items,
        max(0.0, ready - spans[0]),
        peak_of_process(),
        sum(each.nbytes for each in (*tables, *before)) / job.items,
        _gpu(),
    )


def _gpu() -> _Gpu:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return _Gpu(0, 0, "")
    about = torch.cuda.get_device_properties(0)
    return _Gpu(torch.cuda.max_memory_reserved(0), about.total_memory, about.name)


def _samples(job: Job) -> int:
    """How many came through.

    Raises:
        UserError: none did, and stages had nothing to do.
    """
    found = totals(committed_shards(job.root, job.split))
    if not found.samples:
        why = ", ".join(
            f"{stage}: {reason} {count}"
            for stage, reasons in found.reasons.items()
            for reason, count in reasons.most_common()
        )
        raise UserError(f"no picture of {found.rows} came through, so there is nothing to measure ({why})")
    return found.samples


def _found(
    job: Job, chain: Sequence[Operator], runs: Sequence[_Run], machine: Machine, shard: int
) -> Measured:
    spent: Counter[str] = Counter()
    for timing in read_timings(job.root):
        spent.update(timing["seconds"])
    data = split_folder(job.root, job.split)
    written = sum(path.stat().st_size for path in data.iterdir())
    gpu = max((run.gpu for run in runs), key=lambda gpu: gpu.total)
    return Measured(
        operators=tuple(
            OperatorCost(
                name=operator.name,
                seconds=run.seconds,
                cpu_seconds=run.cpu_seconds,
                stages={name: spent.get(name, 0.0) / job.items for name, _ in operator.stages},
                load=run.load,
                # A worker has a shard in hand at a time, and the probe all of them.
                memory=max(0, run.memory - round((job.items - shard) * run.row)),
                row=run.row,
                gpu_memory=run.gpu.used,
            )
            for operator, run in zip(chain, runs, strict=True)
        ),
        images=job.items,
        samples=_samples(job),
        shard=shard,
        output=written / job.items,
        machine=machine,
        processor=", ".join(filter(None, (processor(), gpu.name))),
        gpu_total=gpu.total,
        day=datetime.now(UTC).date().isoformat(),
        settings=settings_of(chain),
    )
