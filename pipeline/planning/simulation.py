# SPDX-License-Identifier: Apache-2.0
"""Shards on their way through the pools, event by event.

Workers on one GPU share it equally while they work; workers without one share their node's cores, by the
priority that they run at, each on one core at most, and all are slower the more cores are busy. Every shard
takes as long as was measured, and what Ray adds. A worker that fails, at any moment, begins anew, and the
shard that it had waits for the next free worker of that operator. What workers on GPUs compute on cores
beside them delays nobody, but no run is over before all cores have done the work of all workers, and the
driver, which is one process, has handed on every shard.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from pipeline.planning.cluster import Cluster, Seat, seats
from pipeline.planning.device import Device
from pipeline.planning.machine import Machine
from pipeline.planning.pools import Pool

_NICER_BY = 1.25**5
"""How much more of a busy core goes to an operator than to the one before it (see `YieldingWorker`)."""

_SHARDS, _SHARDS_A_WORKER = 40_000, 10
"""Enough of them to know how a run goes on."""

_IDEAL = Machine()
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


@dataclass(slots=True, eq=False)
class _Worker:
    operator: int
    device: Device
    shard: int | None = None
    """None while it starts or waits."""
    since: float = 0.0


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
    worked = max(run.seconds, images / min(cores, driver))
    return replace(run, seconds=worked + machine.stop, cores=cores, driver=driver)


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
    return Simulated(
        more.seconds + times * (more.seconds - less.seconds),
        more.first,
        more.busy,
        more.failures + round(times * (more.failures - less.failures)),
    )


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
    run = _Run(pools, images, shard_size, machine.handling, failures, seed)
    devices: dict[Seat, Device] = {}
    for operator, some in enumerate(places):
        for seat in some:
            device = Device(_cores(cluster, machine), machine.crowded) if seat.gpu is None else Device(1.0)
            run.load(_Worker(operator, devices.setdefault(seat, device)), start)
    now = run.until_done()
    busy = [spent / (pool.workers * (now - start)) for spent, pool in zip(run.busy, pools, strict=True)]
    return Simulated(now, run.first, tuple(busy), run.failures)


class _Run:
    """What waits where, and what happens next."""

    def __init__(
        self,
        pools: Sequence[Pool],
        images: int,
        shard_size: int,
        handling: float,
        failures: float,
        seed: int,
    ) -> None:
        self.first, self.failures, self.busy = math.inf, 0, [0.0] * len(pools)
        self._pools, self._size, self._rate = pools, shard_size, failures / 3600
        self._handling = handling
        self._shards = math.ceil(images / shard_size)
        self._last = images - (self._shards - 1) * shard_size
        self._chance, self._done = random.Random(seed), 0
        self._waiting: list[deque[int]] = [deque() for _ in pools]
        self._waiting[0].extend(range(self._shards))
        self._idle: list[deque[_Worker]] = [deque() for _ in pools]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = count()

    def until_done(self) -> float:
        """The time at which the last shard is there."""
        now = 0.0
        while self._done < self._shards:
            now, _, happens = heapq.heappop(self._events)
            happens(now)
        return now

    def load(self, worker: _Worker, now: float) -> None:
        """A process begins."""
        worker.shard = None
        if self._rate:
            self._at(now + self._chance.expovariate(self._rate), partial(self._died, worker))
        self._work(worker, self._pools[worker.operator].cost.load, now)

    def _done_on(self, device: Device, version: int, now: float) -> None:
        if version != device.version:
            return
        finished, event = device.finish(now)
        self._schedule(device, event)
        for worker in finished:
            self._ended(worker, now)

    def _ended(self, worker: _Worker, now: float) -> None:
        operator, shard = worker.operator, worker.shard
        self._idle[operator].append(worker)
        if shard is not None:
            self.busy[operator] += now - worker.since
            worker.shard = None
            self._pass_on(shard, operator + 1, now)
        self._offer(operator, now)

    def _died(self, worker: _Worker, now: float) -> None:
        operator = worker.operator
        if worker.shard is not None:
            self.busy[operator] += now - worker.since
            self._waiting[operator].appendleft(worker.shard)
        elif worker in self._idle[operator]:
            self._idle[operator].remove(worker)
        self.failures += 1
        self._schedule(worker.device, worker.device.drop(worker, now))
        self.load(worker, now)
        self._offer(operator, now)

    def _pass_on(self, shard: int, operator: int, now: float) -> None:
        if operator < len(self._pools):
            self._waiting[operator].append(shard)
            self._offer(operator, now)
        else:
            self._done += 1
            self.first = min(self.first, now)

    def _offer(self, operator: int, now: float) -> None:
        while self._waiting[operator] and self._idle[operator]:
            worker = self._idle[operator].popleft()
            worker.shard, worker.since = self._waiting[operator].popleft(), now
            size = self._last if worker.shard == self._shards - 1 else self._size
            self._work(worker, self._pools[operator].cost.seconds * size + self._handling, now)

    def _work(self, worker: _Worker, seconds: float, now: float) -> None:
        # Which GPU kernels go first is not decided by Unix priorities.
        weight = 1.0 if self._pools[worker.operator].holding.gpus else _NICER_BY**worker.operator
        self._schedule(worker.device, worker.device.add(worker, seconds, weight, now))

    def _schedule(self, device: Device, event: tuple[float, int] | None) -> None:
        if event is not None:
            self._at(event[0], partial(self._done_on, device, event[1]))

    def _at(self, time: float, happens: Callable[[float], None]) -> None:
        # Of what happens at the same time, what was known first.
        heapq.heappush(self._events, (time, next(self._number), happens))
