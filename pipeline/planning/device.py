# SPDX-License-Identifier: Apache-2.0
"""Something that workers share while they work: a GPU, or the cores of a node."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple

_DONE = 1e-9


class _Work(NamedTuple):
    end: float
    """Of its class's progress."""
    number: int
    """Of what was taken on, in order."""
    worker: Any


class _Class:
    """Work of the same weight: all of it goes on at the same speed."""

    def __init__(self) -> None:
        self.queue: list[_Work] = []
        self.count = 0
        """Without what was dropped, which stays in the queue until it is first."""
        self.progress = self.speed = 0.0
        """Seconds of work that a piece has got if it was here from the beginning, and those in a second."""


class Device:
    """Work in hand, at speeds that depend on how much there is.

    What happens costs by the number of different weights, not of workers: a node may have a thousand.
    """

    def __init__(self, cores: float, crowded: float = 1.0, of_cores: bool = True) -> None:
        """
        Args:
            cores: how many can work at the same time.
            crowded: how many times longer each takes when all of them do.
            of_cores: whether it is a node's cores; else a GPU.
        """
        self.of_cores = of_cores
        self.version = 0
        """Counts changes: a time that was told before one no longer holds."""
        self._cores, self._crowded = cores, crowded
        self._now, self._number = 0.0, count()
        self._classes: dict[float, _Class] = {}
        self._held: dict[int, tuple[float, int]] = {}
        """Of a worker's work the weight and number."""

    def add(self, worker: Any, work: float, weight: float, now: float) -> tuple[float, int] | None:
        """Take on some work.

        Args:
            worker: whose it is; it has no other here.
            work: seconds at full speed.
            weight: its share where cores are short.
            now: seconds.

        Returns:
            When the next work is done, and the version that this holds for.
        """
        self._advance(now)
        some, number = self._classes.setdefault(weight, _Class()), next(self._number)
        heapq.heappush(some.queue, _Work(some.progress + work, number, worker))
        some.count += 1
        self._held[id(worker)] = weight, number
        return self._changed()

    def drop(self, worker: Any, now: float) -> tuple[float, int] | None:
        """Give up what a worker has in hand, if anything; when the next work is done then."""
        self._advance(now)
        if id(worker) in self._held:
            self._forget(worker)
        return self._changed()

    def finish(self, now: float) -> tuple[list[Any], tuple[float, int] | None]:
        """The workers that are done now, in the order in which they began, and when the next one is."""
        self._advance(now)
        least = min((self._left(some) for some in self._classes.values() if some.count), default=0.0)
        done: list[_Work] = []
        for some in self._classes.values():
            while some.count and self._left(some) <= max(least, 0.0) + _DONE:
                done.append(some.queue[0])
                self._forget(some.queue[0].worker)
        return [work.worker for work in sorted(done, key=lambda work: work.number)], self._changed()

    def _forget(self, worker: Any) -> None:
        self._classes[self._held.pop(id(worker))[0]].count -= 1

    def _left(self, some: _Class) -> float:
        """Seconds of work of the piece that has least, of a class that has any."""
        while self._held.get(id(some.queue[0].worker), (0.0, -1))[1] != some.queue[0].number:
            heapq.heappop(some.queue)
        return some.queue[0].end - some.progress

    def _advance(self, now: float) -> None:
        for some in self._classes.values():
            some.progress += some.speed * (now - self._now)
        self._now = now

    def _changed(self) -> tuple[float, int] | None:
        self.version += 1
        there = {weight: some for weight, some in self._classes.items() if some.count}
        slow = self._slowed(sum(some.count for some in there.values()))
        speeds = shares({weight: some.count for weight, some in there.items()}, self._cores)
        for weight, some in there.items():
            some.speed = speeds[weight] / slow
        soonest = min((max(self._left(some), 0.0) / some.speed for some in there.values()), default=None)
        return None if soonest is None else (self._now + soonest, self.version)

    def _slowed(self, pieces: int) -> float:
        """By neighbours: not at all where one works, by all of it where all do."""
        others = min(pieces, self._cores) - 1
        return (
            1.0 if others <= 0 or self._cores <= 1 else 1 + (self._crowded - 1) * others / (self._cores - 1)
        )


def shares(pieces: Mapping[float, int], cores: float) -> dict[float, float]:
    """Speeds of work that shares cores by weight, each at most 1; what one leaves goes to the others.

    Args:
        pieces: how many there are of each weight, above 0.
        cores: to be shared.

    Returns:
        The speed of a piece of each weight.
    """
    speeds, open_, left = {}, dict(pieces), cores
    if sum(pieces.values()) <= cores:
        return dict.fromkeys(pieces, 1.0)
    while open_:
        scale = left / sum(weight * pieces for weight, pieces in open_.items())
        full = [weight for weight in open_ if weight * scale >= 1.0]
        if not full:
            return {**speeds, **{weight: weight * scale for weight in open_}}
        for weight in full:
            left -= open_.pop(weight)
            speeds[weight] = 1.0
    return speeds
