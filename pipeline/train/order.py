# SPDX-License-Identifier: Apache-2.0
"""Which sample comes when: a pure function of seed and position, so that one integer resumes a training.

An epoch has every sample once. Shards come in a new order each epoch; the rows of a block of shards are
mixed, so that a loader keeps few files open and neighbours in a shard are seldom neighbours in a batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Place(NamedTuple):
    """A sample: the place of its shard among the shards, and of its row among the shard's."""

    shard: int
    row: int


class Order:
    """The order of all samples, for ever."""

    def __init__(self, sizes: Sequence[int], seed: int = 0, block: int = 8) -> None:
        """
        Args:
            sizes: samples of each shard.
            seed: of the order.
            block: shards whose rows are mixed.

        Raises:
            ValueError: if there is no sample, or a block holds no shard.
        """
        if block < 1:
            raise ValueError(f"block is {block}; it must be 1 or more")
        self._sizes, self._seed, self._block = np.asarray(sizes, np.int64), seed, block
        self.epoch_size = int(self._sizes.sum())
        if not self.epoch_size:
            raise ValueError("there is no sample to train on")
        self._before = np.cumsum(self._sizes) - self._sizes
        # Positions mostly grow, so the same epoch and the same block are asked for again and again.
        self._epoch: tuple[int, np.ndarray, np.ndarray] | None = None
        self._rows: tuple[int, int, np.ndarray] | None = None

    def at(self, position: int) -> Place:
        """The sample at a position, from 0 and beyond every end.

        Raises:
            ValueError: if the position is negative.
        """
        if position < 0:
            raise ValueError(f"position is {position}; it must be 0 or more")
        epoch, rest = divmod(position, self.epoch_size)
        _, starts = self._shards(epoch)
        number = int(np.searchsorted(starts, rest, side="right")) - 1
        shard, row = self._block_rows(epoch, number)[rest - int(starts[number])].tolist()
        return Place(shard, row)

    def number(self, place: Place) -> int:
        """Of a sample among all, in [0, epoch_size), whatever the epoch."""
        return int(self._before[place.shard]) + place.row

    def _shards(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The shards in an epoch's order, and at which position of it each block begins."""
        if self._epoch is None or self._epoch[0] != epoch:
            shards = np.random.default_rng((self._seed, epoch)).permutation(len(self._sizes))
            blocks = np.add.reduceat(self._sizes[shards], np.arange(0, len(shards), self._block))
            self._epoch = epoch, shards, np.cumsum(blocks) - blocks
        return self._epoch[1:]

    def _block_rows(self, epoch: int, number: int) -> np.ndarray:
        """The samples of a block in their order, int64 (samples, 2): shard and row."""
        if self._rows is None or self._rows[:2] != (epoch, number):
            shards = self._shards(epoch)[0][number * self._block : (number + 1) * self._block]
            sizes = self._sizes[shards]
            rows = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            samples = np.stack([np.repeat(shards, sizes), rows], axis=1)
            mixed = np.random.default_rng((self._seed, epoch, number)).permutation(samples)
            self._rows = epoch, number, mixed
        return self._rows[2]


def batch_positions(step: int, batch: int, rank: int, world: int) -> Sequence[int]:
    """Positions of one process's share of a step: together the processes have the step's positions in a row.

    A sample's position depends on the global batch alone, so the number of processes changes nothing.

    Args:
        step: from 0.
        batch: samples of a step, all processes together; a multiple of `world`.
        rank: of the process.
        world: number of processes.

    Raises:
        ValueError: if the batch cannot be shared out evenly.
    """
    if batch % world:
        raise ValueError(f"a batch of {batch} cannot be shared out among {world} processes")
    share = batch // world
    start = step * batch + rank * share
    return range(start, start + share)
