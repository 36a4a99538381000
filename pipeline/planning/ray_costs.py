# SPDX-License-Identifier: Apache-2.0
"""What Ray itself takes on this machine: to start, for every shard, and while it waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import psutil
import pyarrow as pa

_SHARDS, _BYTES = 40, 1 << 20
"""How many empty shards go through Ray, of what size."""
_OPERATORS = 3
"""That they go through."""
_MANY, _AT_ONCE = 160, 16
"""Shards that are nothing, and how many of them an operator has in hand: a driver that has much to do at a
time does more at a time."""
_WAITING = 4.0
"""Seconds in which Ray has nothing to do."""


def ray_costs() -> dict[str, float]:
    """Fields of `pipeline.planning.machine.Machine`: its start and end, what it does for a shard that goes
    from one actor to another, what of that is the driver's where it is busy, and what it does meanwhile."""
    from pipeline.run_ray import RayOptions, connect

    began = time.perf_counter()
    # Not the cluster that this may be a job of: its workers cannot be seen from here.
    connect(RayOptions(address="local"))
    import ray

    blocks, start, used = _passed(_SHARDS, _BYTES, 1), 0.0, 0.0
    for place, _ in enumerate(blocks):
        if not place:
            start, used = time.perf_counter() - began, _used()
    handling = max(0.0, _used() - used) / (_SHARDS - 1) / _OPERATORS
    found = {"start": start, "handling": handling, "driving": _driving(), "standing": _standing()}
    began = time.perf_counter()
    ray.shutdown()
    return {**found, "stop": time.perf_counter() - began}


def _passed(shards: int, size: int, at_once: int) -> Iterator[object]:
    """Shards that go through operators that do nothing, as they come out."""
    import ray

    # Blocks that are there already: tasks that read would want a CPU beside the actors, and there may be one.
    blocks = ray.data.from_arrow([pa.table({"size": [size]}) for _ in range(shards)])
    for _ in range(_OPERATORS - 1):
        pool = ray.data.ActorPoolStrategy(
            size=1, max_concurrent_calls_per_actor=at_once, max_tasks_in_flight_per_actor=2 * at_once
        )
        blocks = blocks.map_batches(
            _Passes, fn_constructor_args=(size,), batch_size=None, num_cpus=0.1, compute=pool
        )
    return iter(blocks.iter_batches(batch_size=None, prefetch_batches=0))


def _driving() -> float:
    """CPU seconds of this process, which is the driver, for a shard and operator."""
    used = 0.0
    for place, _ in enumerate(_passed(_MANY, 1, _AT_ONCE)):
        if not place:
            used = time.process_time()
    return (time.process_time() - used) / (_MANY - 1) / _OPERATORS


def _standing() -> float:
    """Cores, while a worker does nothing that counts."""
    import ray

    blocks = ray.data.from_arrow([pa.table({"shard": [shard]}) for shard in range(2)]).map_batches(
        _Waits, batch_size=None, num_cpus=0.1, compute=ray.data.ActorPoolStrategy(size=1)
    )
    marks = [(time.perf_counter(), _used()) for _ in blocks.iter_batches(batch_size=None, prefetch_batches=0)]
    (began, before), (ended, after) = marks
    return max(0.0, after - before) / (ended - began)


class _Passes:
    """An actor that makes a shard's bytes of whatever it gets."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"bytes": np.zeros((1, self._size), np.uint8)}


class _Waits:
    """An actor that does nothing for a while."""

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        time.sleep(_WAITING)
        return batch


def _used() -> float:
    """CPU seconds of this process and all that it has started and that are still there."""
    process, used = psutil.Process(), 0.0
    for each in [process, *process.children(recursive=True)]:
        # Ray's own helpers come and go.
        with suppress(psutil.NoSuchProcess):
            used += sum(each.cpu_times()[:2])
    return used
