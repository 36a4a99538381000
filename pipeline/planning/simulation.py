# SPDX-License-Identifier: Apache-2.0
"""How long a build takes, and what bounds it: its workers, all cores, or the driver.

Shards go through the pools event by event (`pipeline.planning.simulated_run`). What workers on GPUs compute
on cores beside them delays nobody there, but no run is over before all cores have done the work of all
workers, and the driver, which is one process, has handed on every shard.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.planning.cluster import Cluster, Seat, seats
from pipeline.planning.device import Device
from pipeline.planning.machine import Machine
from pipeline.planning.pools import Pool
from pipeline.planning.simulated_run import Run, Worker

_SHARDS, _SHARDS_A_WORKER = 40_000, 10
"""Enough of them to know how a run goes on."""

_IDEAL = Machine()
_SOME = 1e-9
"""Seconds: no run is shorter."""
_LEAST = 0.1
"""Cores that are left to workers, whatever Ray takes."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """How a run went."""

    seconds: float
    """From the start to the end."""
    first: float
    """Until the first one is."""
    busy: tuple[float, ...]
    """Of each operator, the share of its workers' time in which they had a shard."""
    failures: int
    """Of workers, in all."""
    cores: float = math.inf
    """Images a second that all cores could do of all that is done on cores, when all of them are busy."""
    driver: float = math.inf
    """Images a second whose shards the driver could hand from operator to operator at most; the more workers
    there are, the less it is."""


def simulate(
    pools: Sequence[Pool],
    cluster: Cluster,
    images: int,
    shard_size: int,
    machine: Machine = _IDEAL,
    failures: float = 0.0,
    seed: int = 0,
) -> Simulated:
    """Run a build without running it.

    Args:
        pools: workers of each operator, which fit on the cluster.
        cluster: the machines.
        images: of the source.
        shard_size: images in a shard; the last one has what is left.
        machine: what every node adds to the work.
        failures: of a worker in an hour.
        seed: of the failures.

    Raises:
        ValueError: the pools do not fit, or there is nothing to do.
        NeverDone: workers fail before they have done anything.
    """
    if images < 1:
        raise ValueError("there are no images")
    most = shard_size * max(_SHARDS, _SHARDS_A_WORKER * max(pool.workers for pool in pools))
    run = _gone_on(
        images, most, lambda some: _whole(pools, cluster, some, shard_size, machine, failures, seed)
    )
    spent = machine.crowded * sum(pool.cost.cpu_seconds for pool in pools)
    cores = cluster.nodes * _cores(cluster, machine) / spent if spent else math.inf
    handed = machine.driving * len(pools)
    driver = shard_size / handed if handed else math.inf
    worked = max(run.seconds, machine.start + images / min(cores, driver))
    more = worked / max(run.seconds, _SOME)
    return replace(
        run,
        seconds=worked + machine.stop,
        busy=tuple(share / more for share in run.busy),
        failures=round(run.failures * more),
        cores=cores,
        driver=driver,
    )


def _cores(cluster: Cluster, machine: Machine) -> float:
    """Of a node, for its workers."""
    return max(_LEAST, cluster.cpus - machine.standing)


def _gone_on(images: int, most: int, whole: Callable[[int], Simulated]) -> Simulated:
    """Of many images what the first of them say."""
    if images <= 2 * most:
        return whole(images)
    # Beginning and end are in both; what is between them goes on as it did.
    less, more = whole(most), whole(2 * most)
    times = (images - 2 * most) / most

    def whole_of(first: float, both: float) -> float:
        return both + times * (both - first)

    seconds = whole_of(less.seconds, more.seconds)
    spent = (
        whole_of(first * less.seconds, both * more.seconds)
        for first, both in zip(less.busy, more.busy, strict=True)
    )
    failures = round(whole_of(less.failures, more.failures))
    return Simulated(seconds, more.first, tuple(each / seconds for each in spent), failures)


def _whole(
    pools: Sequence[Pool],
    cluster: Cluster,
    images: int,
    shard_size: int,
    machine: Machine,
    failures: float,
    seed: int,
) -> Simulated:
    places = seats(cluster, [(pool.holding, pool.workers) for pool in pools])
    if places is None:
        raise ValueError("the pools do not fit on the cluster")
    start = machine.start
    run = Run(pools, images, shard_size, machine.handling, failures, seed)
    devices: dict[Seat, Device] = {}
    for operator, some in enumerate(places):
        for seat in some:
            if seat not in devices:
                cores = Device(_cores(cluster, machine), machine.crowded)
                devices[seat] = cores if seat.gpu is None else Device(1.0, of_cores=False)
            run.load(Worker(operator, devices[seat]), start)
    now = run.until_done()
    worked = max(now - start, _SOME)
    busy = [spent / (pool.workers * worked) for spent, pool in zip(run.busy, pools, strict=True)]
    return Simulated(now, run.first, tuple(busy), run.failures)
