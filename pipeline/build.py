# SPDX-License-Identifier: Apache-2.0
"""A job from its beginning to its end: run what is missing, finish the dataset, sum it up."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from pipeline.context import RunContext, forget_notes, notes_folder
from pipeline.dataset.layout import split_folder
from pipeline.errors import UserError
from pipeline.executor import Executor
from pipeline.job import Job
from pipeline.lease import Lease
from pipeline.progress import watched
from pipeline.run_local import run_local
from pipeline.run_log import RunLog
from pipeline.run_ray import RayOptions, run_ray
from pipeline.stopping import BY_SIGTERM, Stopped, Stopper
from pipeline.watchdog import Patience, Watchdog
from pipeline.wording import counted
from stages.shard.commit import remove_leftovers
from stages.shard.place import Place
from stages.write import refused

STALLED = 75
"""Exit code of a run that could not go on: "temporary failure, try again" (sysexits.h)."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a job runs, and when it ends early."""

    executor: Executor = Executor.ray
    ray: RayOptions = field(default_factory=RayOptions)
    grace: float = 25.0
    """Seconds from SIGTERM until shards in hand are abandoned."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    shards: int
    """Committed in this run."""
    images: int
    """Images that this run computed; 0 if all was there."""
    seconds: float
    left: int = 0
    """Shards that are still to do, because the run was stopped."""
    reason: str = ""
    """Why it was; empty if it was not."""
    code: int = 0
    """The exit code."""

    def line(self) -> str:
        """The same for people."""
        rate = self.images / max(self.seconds, 1e-9)
        speed = f"{rate:.1f} images/s, start-up included"
        done = f"{counted(self.images, 'image')} in {self.seconds:.0f} s ({speed})"
        if not self.reason:
            return f"built {done}"
        return f"{self.reason}: {done}; {counted(self.left, 'shard')} to do; the same command goes on"


def execute(
    job: Job,
    options: RunOptions,
    lease: Lease,
    stopper: Stopper | None = None,
    finishing: Callable[[Place, str], None] | None = None,
) -> Outcome:
    """Run the missing shards; once all are there, write what follows from them.

    Args:
        job: what is to be done.
        options: where, and when to end early.
        lease: held on the output folder.
        stopper: what listens for SIGTERM, if something does already.
        finishing: writes that, of a folder and a split; `finish` if not given.

    Raises:
        UserError: if the cluster is too small, weights cannot be loaded, a stage does not do what it has to,
            or the output cannot be written.
    """
    started, log = time.monotonic(), RunLog(job, lease.token)
    with ExitStack() as stack:
        stack.enter_context(log)
        stopper = stopper or stack.enter_context(Stopper(options.grace))
        try:
            _receive(job, options, lease, log, stopper)
            stopper.gently = None
            left, reason, code = len(job.todo) - log.shards, BY_SIGTERM, 0
            if not left:
                (finishing or finish)(job.root, job.split)
                reason = ""
        except Stopped as stopped:
            left, reason, code = len(job.todo) - log.shards, str(stopped), stopped.code
        except UserError:
            # What workers had begun when they were ended would fill the disk that is too full already.
            with suppress(OSError):
                remove_leftovers(split_folder(job.root, job.split))
            raise
    return Outcome(log.shards, log.images, time.monotonic() - started, left, reason, code)


def finish(root: Place, split: str) -> None:
    """Write report, index and card, and what says that all of it is there.

    Raises:
        UserError: if they cannot be written, or if a shard cannot be read.
    """
    from pipeline.dataset.finish import finish_dataset
    from pipeline.report import write_report

    write_report(root)
    forget_notes(root)
    try:
        finish_dataset(root, split)
    except OSError as error:
        raise UserError(refused("index, list of shards and card", root, error)) from error


def _receive(job: Job, options: RunOptions, lease: Lease, log: RunLog, stopper: Stopper) -> None:
    context = RunContext(lease.fence, notes_folder(job.root, lease.token), stopper, log)
    watchdog = Watchdog(
        Path(context.notes.folder),
        job.chain(lease.token),
        options.patience,
        tell=log.stalled,
        end=lambda line: (log.stalled(line, last=True), stopper.end_now("ended by the watchdog", STALLED)),
        free=lambda: context.free(),
        died=log.died,
        gone=lambda: context.gone(),
    )
    stopper.gently = lease.stop_new_work
    with context, watchdog:
        for table in watched(_receipts(job, options, lease, context), len(job.todo)):
            watchdog.moved()
            log.received(table)
            if lease.lost.is_set():
                raise UserError(f"{job.root} is no longer this run's: another run took it over")


def _receipts(job: Job, options: RunOptions, lease: Lease, context: RunContext) -> Iterator[pa.Table]:
    chain = job.chain(lease.token)
    if options.executor == Executor.local:
        return run_local(job.read, chain, job.todo, context)
    return run_ray(job.read, chain, job.todo, options.ray, context)


def summary(root: Place) -> list[str]:
    """What the dataset holds, as lines: counts, rejects by reason, images a second by stage."""
    from pipeline.dataset.layout import all_shards
    from pipeline.dataset.newer import replaced_rows, without_replaced
    from pipeline.dataset.timings import images_per_second
    from pipeline.dataset.totals import totals

    shards = all_shards(root)
    found = without_replaced(totals(shards), shards, replaced_rows(root))
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
