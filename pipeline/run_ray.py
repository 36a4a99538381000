# SPDX-License-Identifier: Apache-2.0
"""The chain on Ray Data: a read task a shard, then one fixed pool of actors an operator.

One block is one shard from beginning to end: block sizes are set so that Ray neither splits nor merges.
Pools are fixed because growing ones start slowly; the order of shards is whatever it is, keys decide.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from models.backends.protocols import MissingDevice, MissingWeights
from pipeline.context import RunContext
from pipeline.errors import UserError
from pipeline.last_words import last_words
from pipeline.metrics import Metrics
from pipeline.operators import Operator, StageError, check_capacity, check_devices, spare_line
from pipeline.raylet import is_running, started_raylets
from pipeline.shard_reader import ShardReader
from pipeline.yielding_worker import YieldingWorker, kept_worker
from stages.attempts import Notes
from stages.backend import check_weights
from stages.columns import RAW
from stages.shard.fence import Fence, Fenced
from stages.write import WriteError

if TYPE_CHECKING:
    from ray.data import Dataset, Datasource

_QUIET = {
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""What a cluster of this run's own need not tell a dashboard that it does not have."""
_ATTEMPTS = 200
"""Times that Ray gives a shard to another worker; `pipeline.isolation` ends the run long before that."""


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Which cluster to use."""

    address: str | None = None
    """`auto`, `host:port`, or None: the job's own cluster inside a Ray job, else a local one."""
    cpus: int | None = None
    """CPUs of a local cluster; all of this machine's if not given."""


def run_ray(
    read: ShardReader,
    chain: Sequence[Operator],
    shards: Sequence[int],
    options: RayOptions,
    run: RunContext,
) -> Iterator[pa.Table]:
    """Yield each shard's receipt as it is committed, in any order; begin no other once the run is to stop.

    Raises:
        UserError: if the cluster cannot be reached or is too small, if a backend cannot be had, or if a
            stage does not do what it has to.
    """
    if not shards:
        return
    # Where its raylet dies, Ray's compiled code may end this process at once.
    with last_words("this run was cut off (its process, or Ray's, was killed); the same command goes on"):
        yield from _run(read, chain, shards, options, run)


def _run(
    read: ShardReader,
    chain: Sequence[Operator],
    shards: Sequence[int],
    options: RayOptions,
    run: RunContext,
) -> Iterator[pa.Table]:
    try:
        connect(options)
        # Ray has put a handler of its own there, which exits.
        run.stopper.listen()
    except SystemExit:
        raise run.stopper.end from None
    import ray
    from ray.exceptions import RayError

    try:
        there = ray.cluster_resources()
        run.log.metrics = Metrics(len(shards))
        run.free = _free
        run.gone = partial(_dead_raylet, started_raylets())
        check_devices(chain)
        check_capacity(list(chain), there.get("CPU", 0.0), there.get("GPU", 0.0), "the cluster")
        # Before any worker loads what it can, and while Ray Data plans.
        check = ray.remote(num_cpus=chain[0].resources.cpus)(check_weights)
        checked = check.remote([stage for operator in chain for _, stage in operator.stages])
        stream = _pipeline(read, chain, shards, run.fence, run.notes)
        if line := spare_line(chain, _nodes()):
            run.log.warn(line)
        ray.get(checked)
        yield from stream.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except RayError as error:
        line = _line(error)
        if line is None:
            raise
        raise UserError(line) from error
    finally:
        # From here on its processes end because they are told to.
        run.gone = str
        ray.shutdown()


def _line(error: Exception) -> str | None:
    """What a person can do about an error from the cluster; None if it is not one of those."""
    from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError, WorkerCrashedError

    named = "|".join(
        kind.__name__ for kind in (MissingWeights, MissingDevice, StageError, Fenced, WriteError)
    )
    if told := re.search(rf"(?:{named}): (.+)", str(error)):
        return told[1]
    if isinstance(error, OutOfMemoryError | RayActorError | WorkerCrashedError):
        return (
            "workers keep dying (out of memory, or a crash in native code); give them more memory, or lower "
            "the stages' batch_size; finished shards are kept"
        )
    if not isinstance(error, RayTaskError):
        what = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return f"Ray itself has failed ({what}); the same command goes on, finished shards are kept"
    return None


def connect(options: RayOptions) -> None:
    """Start a local cluster or reach one.

    Raises:
        UserError: it cannot be started or reached.
    """
    import logging

    # Ray's C++ side writes to stderr past all Python logging; what matters arrives as exceptions.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    _check_reachable(address)
    local = {}
    if address == "local":
        local = {"num_cpus": options.cpus or os.cpu_count(), "include_dashboard": False}
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
    try:
        with _silent_stderr():
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **local)
    except Exception as error:
        # A raylet or GCS that dies while it starts is a plain Exception.
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        what = "start" if address == "local" else f"connect to '{address}'"
        raise UserError(f"Ray cannot {what}: {why}; the same command tries again") from error


def _check_reachable(address: str) -> None:
    """Ask `host:port` for an answer first: Ray itself would try for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray cluster answers at '{address}' ({error}); start one or fix --address"
        ) from error


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what compiled code prints; exceptions, and what we say ourselves, still tell what went wrong."""
    kept, nowhere, ours = os.dup(2), os.open(os.devnull, os.O_WRONLY), sys.stderr
    try:
        with os.fdopen(os.dup(2), "w", buffering=1) as aside:
            sys.stderr = aside
            os.dup2(nowhere, 2)
            yield
    finally:
        os.dup2(kept, 2)
        sys.stderr = ours
        os.close(kept)
        os.close(nowhere)


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _dead_raylet(pids: Sequence[int]) -> str:
    return "" if all(map(is_running, pids)) else "Ray's own process on this machine (raylet) has died"


def _free() -> str:
    import ray

    free = ray.available_resources() if ray.is_initialized() else {}
    return f"free in the cluster: {free.get('CPU', 0):g} CPUs, {free.get('GPU', 0):g} GPUs" if free else ""


def _pipeline(
    read: ShardReader, chain: Sequence[Operator], shards: Sequence[int], fence: Fence, notes: Notes
) -> Dataset:
    import ray

    context = ray.data.DataContext.get_current()
    context.target_max_block_size = None
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # It has no other name for `max_task_retries` yet, and does without it from 2.64 on (see pyproject.toml).
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
    first, *rest = chain
    last = len(rest)
    stream = ray.data.read_datasource(
        _datasource(_Begin(read, first, last, fence, notes), shards),
        num_cpus=first.resources.cpus,
        concurrency=first.resources.workers,
        override_num_blocks=len(shards),
        # A parameter of its own keeps Ray from running the reads inside the next operator's actors.
        max_calls=1000,
        max_retries=_ATTEMPTS,
    )
    for place, operator in enumerate(rest, 1):
        stream = stream.map_batches(
            YieldingWorker,
            fn_constructor_args=(operator, last - place, notes),
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            num_cpus=operator.resources.cpus,
            num_gpus=operator.resources.gpus or None,
            compute=ray.data.ActorPoolStrategy(
                size=operator.resources.workers, max_tasks_in_flight_per_actor=2
            ),
            # Lost workers are replaced as often as it takes, but no shard may kill them without end.
            max_restarts=-1,
            max_task_retries=_ATTEMPTS,
        )
    return stream


@dataclass(frozen=True, slots=True)
class _Begin:
    """The first operator: reads a shard from the source and runs the first stages on it."""

    read: ShardReader
    operator: Operator
    after: int
    fence: Fence
    notes: Notes

    def __call__(self, shard: int) -> Iterator[pa.Table]:
        if self.fence.stopping():
            yield RAW.empty_table()
            return
        attempts = self.notes.about(shard, self.operator.name)
        yield kept_worker(self.operator, self.after, self.notes)(self.read(shard, attempts), attempts)


def _datasource(begin: _Begin, shards: Sequence[int]) -> Datasource:
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class Shards(Datasource):
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(
            self, parallelism: int, per_task_row_limit: int | None = None, **_: Any
        ) -> list[ReadTask]:
            return [ReadTask(partial(begin, shard), _no_metadata()) for shard in shards]

    def _no_metadata() -> BlockMetadata:
        return BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None)

    return Shards()
