# SPDX-License-Identifier: Apache-2.0
"""A build from its checked beginning to its end: run what is missing, finish the dataset, sum it up."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.dataset.layout import split_folder
from pipeline.errors import UserError
from pipeline.executor import Executor
from pipeline.job import Job
from pipeline.progress import watched
from pipeline.run_local import run_local
from pipeline.run_ray import RayOptions, run_ray
from pipeline.wording import counted
from stages.shard.commit import remove_leftovers
from stages.write import refused


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    shards: int
    images: int
    """Images that this run computed; 0 if all was there."""
    seconds: float

    def line(self) -> str:
        """The same for people."""
        rate = self.images / max(self.seconds, 1e-9)
        return (
            f"built {counted(self.images, 'image')} in {self.seconds:.0f} s "
            f"({rate:.1f} images/s, start-up included)"
        )


def execute(job: Job, executor: Executor, ray: RayOptions) -> Outcome:
    """Run the missing shards.

    Raises:
        UserError: if the cluster is too small, weights cannot be loaded, or nothing can be written.
    """
    started = time.monotonic()
    try:
        tables = watched(_receipts(job, executor, ray), len(job.todo))
        images = sum(row["rows"] for table in tables for row in table.to_pylist())
    except UserError:
        # What workers had begun when they were ended would fill the disk that is too full already.
        with suppress(OSError):
            remove_leftovers(split_folder(job.root, job.split))
        raise
    return Outcome(len(job.todo), images, time.monotonic() - started)


def _receipts(job: Job, executor: Executor, ray: RayOptions) -> Iterator[pa.Table]:
    if executor == Executor.local:
        return run_local(job.read, job.chain, job.todo)
    return run_ray(job.read, job.chain, job.todo, ray)


def finish(root: Path, split: str) -> Path:
    """Write index, card and report; returns the report's path.

    Raises:
        UserError: if they cannot be written, or if a shard cannot be read.
    """
    from pipeline.dataset.finish import finish_dataset
    from pipeline.report import write_report

    try:
        finish_dataset(root, split)
    except OSError as error:
        raise UserError(refused("index, list of shards and card", root, error)) from error
    return write_report(root)


def summary(root: Path) -> list[str]:
    """What the dataset holds, as lines: counts, rejects by reason, images a second by stage."""
    from pipeline.dataset.layout import all_shards
    from pipeline.dataset.timings import images_per_second
    from pipeline.dataset.totals import totals

    found = totals(all_shards(root))
    rates = " · ".join(f"{stage} {rate:.0f}" for stage, rate in images_per_second(root).items())
    return [
        f"images in    {found.rows}",
        f"samples out  {found.samples}",
        f"rejected     {found.rejected}, errors {found.errors}",
        *(
            f"  {stage}: {reason}  {count}"
            for stage, reasons in found.reasons.items()
            for reason, count in reasons.most_common()
        ),
        f"instances    {found.instances}",
        f"images/s     {rates}  (one worker of each stage)",
    ]
