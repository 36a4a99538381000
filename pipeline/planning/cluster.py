# SPDX-License-Identifier: Apache-2.0
"""Machines, and which workers fit on them side by side."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

_SLACK = 1e-6
_HALF = 0.5
"""`RAY_scheduler_spread_threshold`."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Equal nodes."""

    nodes: int
    cpus: int
    """Of a node."""
    gpus: int
    """Of a node."""
    memory: float = math.inf
    """Bytes of RAM of a node; infinite where it is not known."""

    @property
    def all_cpus(self) -> int:
        """Of all nodes."""
        return self.nodes * self.cpus

    @property
    def all_gpus(self) -> int:
        """Of all nodes."""
        return self.nodes * self.gpus

    @property
    def parts(self) -> list[dict[str, float]]:
        """Each node's resources, as Ray names them."""
        return [{"CPU": self.cpus, "GPU": self.gpus}] * self.nodes

    def without(self, nodes: int) -> Cluster:
        """With so many nodes less."""
        return replace(self, nodes=self.nodes - nodes)

    def __str__(self) -> str:
        return f"{self.nodes} x ({self.cpus} CPUs, {self.gpus} GPUs)"


class Holding(NamedTuple):
    """What a worker holds for the whole run."""

    cpus: float
    gpus: float


class Seat(NamedTuple):
    """Where a worker is."""

    node: int
    gpu: int | None
    """The first of its GPUs; None if it holds none."""


@dataclass(slots=True)
class _Node:
    cpus: float
    gpus: list[float] = field(default_factory=list)

    def seated(self, holding: Holding) -> int | None:
        """The GPU for a worker, -1 for none; None where it does not fit."""
        if holding.cpus > self.cpus + _SLACK:
            return None
        gpu = -1 if not holding.gpus else self._gpu(holding.gpus)
        if gpu is None:
            return None
        self.cpus -= holding.cpus
        for place in range(gpu, gpu + max(1, round(holding.gpus))) if gpu >= 0 else ():
            self.gpus[place] -= min(holding.gpus, 1.0)
        return gpu

    def _gpu(self, share: float) -> int | None:
        """The fullest GPU that a share fits on, as Ray takes it; of whole ones the first of as many."""
        if share >= 1:
            whole = [place for place, left in enumerate(self.gpus) if left > 1 - _SLACK]
            count = round(share)
            rows = (place for place in whole if {*range(place, place + count)} <= {*whole})
            return next(rows, None)
        fits = [place for place, left in enumerate(self.gpus) if left > share - _SLACK]
        return min(fits, key=lambda place: (self.gpus[place], place), default=None)


def seats(cluster: Cluster, wanted: Sequence[tuple[Holding, int]]) -> list[list[Seat]] | None:
    """Places for all workers at the same time as Ray seats them, or None where some would wait for ever.

    A worker is on one node; a share of a GPU is of one GPU. Actors are seated in the order of the chain, and
    none is moved for one that comes later; the first operator's workers are tasks, which come last. Those
    without a GPU fill each node to a half and then go to the emptiest.

    Args:
        cluster: the machines.
        wanted: for each operator of the chain what a worker holds, and how many there are.
    """
    nodes = [_Node(cluster.cpus, [1.0] * cluster.gpus) for _ in range(cluster.nodes)]
    found: list[list[Seat]] = [[] for _ in wanted]
    for place in (*range(1, len(wanted)), 0):
        holding, count = wanted[place]
        # Which GPU of which node is a matter of its shares, not of how the work is spread.
        seated = (_First if holding.gpus else _Emptiest)(nodes, cluster)
        for _ in range(count):
            seat = seated(holding)
            if seat is None:
                return None
            found[place].append(seat)
    return found


class _First:
    """The first node that has room."""

    def __init__(self, nodes: Sequence[_Node], _: Cluster) -> None:
        self._nodes, self._first = nodes, 0

    def __call__(self, holding: Holding) -> Seat | None:
        # Nodes that are full for this holding stay so.
        while self._first < len(self._nodes):
            gpu = self._nodes[self._first].seated(holding)
            if gpu is not None:
                return Seat(self._first, None if gpu < 0 else gpu)
            self._first += 1
        return None


class _Emptiest:
    """The first node that is not half full, or else the emptiest (Ray's hybrid policy)."""

    def __init__(self, nodes: Sequence[_Node], cluster: Cluster) -> None:
        self._nodes, self._cpus = nodes, cluster.cpus
        self._queue = [(self._full(place), place) for place in range(len(nodes))]
        heapq.heapify(self._queue)

    def __call__(self, holding: Holding) -> Seat | None:
        _, place = self._queue[0]
        if self._nodes[place].seated(holding) is None:
            return None
        heapq.heapreplace(self._queue, (self._full(place), place))
        return Seat(place, None)

    def _full(self, place: int) -> float:
        return max(_HALF, 1 - self._nodes[place].cpus / max(self._cpus, 1))
