# SPDX-License-Identifier: Apache-2.0
"""What `build` and `retry` do, from the request to the last line that they print."""

import os
from collections.abc import Callable

from pipeline import build as steps
from pipeline.build import RunOptions
from pipeline.config import BuildConfig
from pipeline.context import forget_notes, has_notes
from pipeline.dataset.layout import is_finished
from pipeline.errors import UserError
from pipeline.executor import Executor
from pipeline.job import Job, split_of
from pipeline.lease import Lease, Left
from pipeline.operators import check_capacity, operators
from pipeline.remaining import rejected_rows, unfinished_builds, unfinished_retries, what_failed
from pipeline.retry import RetryRequest, checked
from pipeline.retry_plan import begin_retry
from pipeline.stopping import Stopped, Stopper
from pipeline.survey import Request, begin, survey
from pipeline.wording import counted
from stages.columns import ERROR
from stages.shard.fence import lease_path
from stages.shard.place import Place


def build_dataset(request: Request, options: RunOptions) -> int:
    """Build, or go on, or say that nothing is to do; returns the exit code.

    Raises:
        UserError: bad input, a folder that is another run's, or a run that cannot go on.
    """
    return until_stopped(options, lambda stopper: _build(request, options, stopper))


def _build(request: Request, options: RunOptions, stopper: Stopper) -> int:
    root = request.root
    outlook = survey(request)
    if outlook.planned and not (job := outlook.job()).todo and is_finished(root):
        print(job.line())
        _tidy(root)
        return _nothing(root)
    check_room(request.config, options)
    with Lease.take(root) as lease:
        job = begin(outlook)
        _announce(job)
        if not job.todo:
            steps.finish(root, job.split)
            return _nothing(root, "; index, card and report restored")
        return _carried_out(job, options, lease, stopper)


def _tidy(root: Place) -> None:
    """Take away what a run left that was killed after the last file was written, if that can be done.

    Raises:
        UserError: that run, or another one, is still at it.
    """
    if not (lease_path(root).is_file() or has_notes(root)):
        return
    try:
        with Lease.take(root):
            forget_notes(root)
    except UserError as error:
        if not isinstance(error.__cause__, OSError):
            raise


def retry_rows(request: RetryRequest, options: RunOptions) -> int:
    """Make chosen rows anew, or say that there are none; returns the exit code.

    Raises:
        UserError: no dataset, a condition that cannot be, or a run that cannot go on.
    """
    return until_stopped(options, lambda stopper: _retry(request, options, stopper))


def _retry(request: RetryRequest, options: RunOptions, stopper: Stopper) -> int:
    retry = checked(request)
    check_room(retry.config, options)
    left = Left.by_whoever_was(request.root)
    with Lease.take(request.root) as lease:
        job = begin_retry(retry, left)
        for line in unfinished_builds(request.root):
            print(line)
        if job is None:
            forget_notes(request.root)
            if not is_finished(request.root) and not [*unfinished_builds(request.root)]:
                steps.finish(request.root, split_of(retry.config))
            shown = " and ".join(f"{column}={value}" for column, value in retry.where.items())
            failed = what_failed(request.root, split_of(retry.config))
            print(
                f"nothing to do: no row of {request.root} that can be made anew has {shown}; "
                f"what came to nothing: {failed}"
            )
            if retry.where["status"] == ERROR and rejected_rows(request.root, split_of(retry.config)):
                print("rows that were rejected are meant by --where status=rejected")
            return 0
        lease.at_retry(job.parts[0].first)
        _announce(job)
        if not job.todo:
            steps.finish(request.root, job.split)
            print("nothing left to make; index, card and report written; again, it tries what still fails")
            return 0
        return _carried_out(job, options, lease, stopper)


def check_room(config: BuildConfig, options: RunOptions) -> None:
    """Refuse what this machine alone cannot run before anything is written or removed."""
    alone = options.ray.address is None and not os.environ.get("RAY_ADDRESS")
    if options.executor == Executor.ray and alone:
        chain = operators(config.stages)
        check_capacity(chain, options.ray.cpus or os.cpu_count() or 1, float("inf"), "this machine")


def until_stopped(options: RunOptions, work: Callable[[Stopper], int]) -> int:
    """The exit code of `work`, which SIGTERM may end at any moment."""
    try:
        with Stopper(options.grace) as stopper:
            return work(stopper)
    except Stopped as stopped:
        print(f"{stopped}; the same command goes on")
        return stopped.code


def _announce(job: Job) -> None:
    print(job.line())
    if job.damaged:
        print(f"{counted(len(job.damaged), 'damaged shard')} to be built anew")
    if job.ignored:
        print(f"{counted(job.ignored, 'other file')} ignored")


def _carried_out(job: Job, options: RunOptions, lease: Lease, stopper: Stopper) -> int:
    outcome = steps.execute(job, options, lease, stopper=stopper)
    print(outcome.line())
    if not outcome.reason:
        print("\n".join([*steps.summary(job.root), f"report       {(job.root / 'report.html').resolve()}"]))
    return outcome.code


def _nothing(root: Place, restored: str = "") -> int:
    print(f"nothing to do: {root} is complete{restored}")
    for line in unfinished_retries(root):
        print(line)
    print(f"report       {(root / 'report.html').resolve()}")
    return 0
