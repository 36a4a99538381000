# SPDX-License-Identifier: Apache-2.0
"""Something that workers share while they work: a GPU, or the cores of a node."""

from __future__ import annotations

from typing import Any

_DONE = 1e-9


class Device:
    """Work in hand, at speeds that depend on how much there is."""

    def __init__(self, cores: float, crowded: float = 1.0) -> None:
        """
        Args:
            cores: how many can work at the same time.
            crowded: how many times longer each takes when all of them do.
        """
        self.version = 0
        """Counts changes: a time that was told before one no longer holds."""
        self._cores, self._crowded = cores, crowded
        self._now = 0.0
        self._left: dict[int, list[float]] = {}
        self._speed: dict[int, float] = {}
        self._weight: dict[int, float] = {}
        self._worker: dict[int, Any] = {}

    def add(self, worker: Any, work: float, weight: float, now: float) -> tuple[float, int] | None:
        """Take on some work.

        Args:
            worker: whose it is.
            work: seconds at full speed.
            weight: its share where cores are short.
            now: seconds.

        Returns:
            When the next work is done, and the version that this holds for.
        """
        self._advance(now)
        key = id(worker)
        self._left[key], self._weight[key], self._worker[key] = [work], weight, worker
        return self._changed()

    def drop(self, worker: Any, now: float) -> tuple[float, int] | None:
        """Give up what a worker has in hand, if anything; when the next work is done then."""
        self._advance(now)
        for held in (self._left, self._weight, self._worker):
            held.pop(id(worker), None)
        return self._changed()

    def finish(self, now: float) -> tuple[list[Any], tuple[float, int] | None]:
        """The workers that are done now, and when the next one is."""
        self._advance(now)
        least = min((left[0] for left in self._left.values()), default=0.0)
        done = [key for key, left in self._left.items() if left[0] <= max(least, 0.0) + _DONE]
        workers = [self._worker.pop(key) for key in done]
        for key in done:
            del self._left[key], self._weight[key]
        return workers, self._changed()

    def _advance(self, now: float) -> None:
        for key, left in self._left.items():
            left[0] -= self._speed.get(key, 0.0) * (now - self._now)
        self._now = now

    def _changed(self) -> tuple[float, int] | None:
        self.version += 1
        slow = self._slowed()
        self._speed = {key: share / slow for key, share in shares(self._weight, self._cores).items()}
        if not self._left:
            return None
        soonest = min(max(left[0], 0.0) / self._speed[key] for key, left in self._left.items())
        return self._now + soonest, self.version

    def _slowed(self) -> float:
        """By neighbours: not at all where one works, by all of it where all do."""
        others = min(len(self._weight), self._cores) - 1
        return (
            1.0 if others <= 0 or self._cores <= 1 else 1 + (self._crowded - 1) * others / (self._cores - 1)
        )


def shares(weights: dict[int, float], cores: float) -> dict[int, float]:
    """Speeds of work that shares cores by weight, each at most 1; what one leaves goes to the others.

    Args:
        weights: of each piece, above 0.
        cores: to be shared.
    """
    if len(weights) <= cores:
        return dict.fromkeys(weights, 1.0)
    speeds, open_, left = {}, dict(weights), cores
    while open_:
        scale = left / sum(open_.values())
        full = [key for key, weight in open_.items() if weight * scale >= 1.0]
        if not full:
            return {**speeds, **{key: weight * scale for key, weight in open_.items()}}
        for key in full:
            del open_[key]
            speeds[key] = 1.0
        left -= len(full)
    return speeds
