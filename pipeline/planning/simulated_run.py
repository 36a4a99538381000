# SPDX-License-Identifier: Apache-2.0
"""Shards on their way through the pools, event by event.

Workers on one GPU share it equally while they work, and what they do on cores or wait for counts as work on
it; workers without one share their node's cores, by the priority that they run at, each on one core at most,
and all are slower the more cores are busy. Every shard takes as long as was measured, and what Ray adds;
where that was waiting, no core is used. A worker that fails, at any moment, begins anew, and the shard that
it had waits for the next free worker of that operator.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from pipeline.planning.device import Device
from pipeline.planning.measured import OperatorCost
from pipeline.planning.pools import Pool

_NICER_BY = 1.25**5
"""How much more of a busy core goes to an operator than to the one before it (see `YieldingWorker`)."""

_WAITS = 0.05
"""Of an operator's time what it waits counts from here on: less is noise."""
_FAILURES = 20
"""That cost something, of each worker at first and then for each shard and operator, beyond which a run would
hardly end: a worker that fails three times in the time of a shard gets there."""


class NeverDone(ValueError):
    """A run that would not end."""


@dataclass(slots=True, eq=False)
class Worker:
    """A process of an operator, and where it is."""

    operator: int
    device: Device
    shard: int | None = None
    """None while it starts or waits."""
    since: float = 0.0
    turn: int = 0
    """Counts what it has begun: what was to follow something before no longer does."""


class Run:
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
        self._lost, self._workers = 0, sum(pool.workers for pool in pools)
        self._pools, self._size, self._rate = pools, shard_size, failures / 3600
        self._handling = handling
        self._shards = math.ceil(images / shard_size)
        self._last = images - (self._shards - 1) * shard_size
        self._chance, self._done = random.Random(seed), 0
        self._waiting: list[deque[int]] = [deque() for _ in pools]
        self._waiting[0].extend(range(self._shards))
        self._idle: list[deque[Worker]] = [deque() for _ in pools]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = count()

    def until_done(self) -> float:
        """The time at which the last shard is there."""
        now = 0.0
        while self._done < self._shards:
            now, _, happens = heapq.heappop(self._events)
            happens(now)
            if self._lost > _FAILURES * (self._workers + len(self._pools) * self._done):
                raise NeverDone(
                    f"{self.failures} workers failed in {now:.0f} s, and {self._done} shards are done"
                )
        return now

    def load(self, worker: Worker, now: float) -> None:
        """A process begins."""
        worker.shard = None
        if self._rate:
            self._at(now + self._chance.expovariate(self._rate), partial(self._died, worker))
        self._work(worker, self._pools[worker.operator].cost.load, now)

    def _begun(self, worker: Worker, turn: int, seconds: float, now: float) -> None:
        if worker.turn == turn:
            self._work(worker, seconds, now)

    def _done_on(self, device: Device, version: int, now: float) -> None:
        if version != device.version:
            return
        finished, event = device.finish(now)
        self._schedule(device, event)
        for worker in finished:
            self._ended(worker, now)

    def _ended(self, worker: Worker, now: float) -> None:
        operator, shard = worker.operator, worker.shard
        self._idle[operator].append(worker)
        if shard is not None:
            self.busy[operator] += now - worker.since
            worker.shard = None
            self._pass_on(shard, operator + 1, now)
        self._offer(operator, now)

    def _died(self, worker: Worker, now: float) -> None:
        operator = worker.operator
        if worker.shard is not None:
            self.busy[operator] += now - worker.since
            self._waiting[operator].appendleft(worker.shard)
        if worker in self._idle[operator]:
            self._idle[operator].remove(worker)
        else:
            self._lost += 1
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
            self._shard(worker, self._pools[operator].cost, size, now)

    def _shard(self, worker: Worker, cost: OperatorCost, size: int, now: float) -> None:
        waits = max(0.0, cost.seconds - cost.cpu_seconds)
        if worker.device.of_cores and waits > _WAITS * cost.seconds:
            worker.turn += 1
            work = cost.cpu_seconds * size + self._handling
            self._at(now + waits * size, partial(self._begun, worker, worker.turn, work))
        else:
            self._work(worker, cost.seconds * size + self._handling, now)

    def _work(self, worker: Worker, seconds: float, now: float) -> None:
        # Which GPU kernels go first is not decided by Unix priorities.
        weight = _NICER_BY**worker.operator if worker.device.of_cores else 1.0
        worker.turn += 1
        self._schedule(worker.device, worker.device.add(worker, seconds, weight, now))

    def _schedule(self, device: Device, event: tuple[float, int] | None) -> None:
        if event is not None:
            self._at(event[0], partial(self._done_on, device, event[1]))

    def _at(self, time: float, happens: Callable[[float], None]) -> None:
        # Of what happens at the same time, what was known first.
        heapq.heappush(self._events, (time, next(self._number), happens))
