# SPDX-License-Identifier: Apache-2.0
"""Which samples the page shows: a few at random, the worst, and some of every way to fail."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import zip_longest
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from stages.columns import OK
from stages.shard.files import ShardFiles

RANDOM, WORST, LOST = 100, 50, 20
_WAYS_TO_FAIL = 100

RowPlace = tuple[ShardFiles, int]
"""A shard, and a row of its table."""
_Ranked = tuple[Any, str, RowPlace]
"""Rank (the lowest are kept), key, place."""


class Picks:
    """Where the chosen rows lie. Chance is a hash of the key, so the order of reading is no matter."""

    def __init__(self) -> None:
        self.random: list[_Ranked] = []
        self.worst: list[_Ranked] = []
        self.lost: dict[tuple[str, str, str], list[_Ranked]] = {}

    def add(self, shard: ShardFiles, first_row: int, batch: pa.RecordBatch, scores: np.ndarray) -> None:
        """Consider the rows of a batch.

        Args:
            shard: where they come from.
            first_row: place of the batch's first row in the shard's table.
            batch: with the columns `key`, `status`, `stage` and `reason`.
            scores: float (rows,), low is bad, NaN for a row that has none.
        """
        keys = batch["key"].to_pylist()
        hashes = [blake2b(key.encode(), digest_size=8).digest() for key in keys]

        def ranked(rows: Iterable[int], ranks: Sequence[Any]) -> Iterator[_Ranked]:
            return ((ranks[row], keys[row], (shard, first_row + row)) for row in rows)

        groups = _by_fate(batch)
        self.random = _lowest(RANDOM, self.random, ranked(groups.pop((OK, "", ""), []), hashes))
        scored = np.flatnonzero(np.isfinite(scores)).tolist()
        self.worst = _lowest(WORST, self.worst, ranked(scored, scores.tolist()))
        for fate, rows in groups.items():
            if fate in self.lost or len(self.lost) < _WAYS_TO_FAIL:
                self.lost[fate] = _lowest(LOST, self.lost.get(fate, []), ranked(rows, hashes))

    def places(self) -> dict[RowPlace, list[str]]:
        """Every chosen row once, with the sets it is in (`random`, `worst`, `lost`), the most telling first.

        Of the lost, one of every kind comes before the second of any.
        """
        rounds = zip_longest(*(self.lost[fate] for fate in sorted(self.lost)))
        lost = [ranked for turn in rounds for ranked in turn if ranked]
        chosen: dict[RowPlace, list[str]] = {}
        for name, kept in (("random", self.random), ("worst", self.worst), ("lost", lost)):
            for _, _, place in kept:
                chosen.setdefault(place, []).append(name)
        return chosen


def _lowest(count: int, kept: list[_Ranked], new: Iterable[_Ranked]) -> list[_Ranked]:
    return heapq.nsmallest(count, [*kept, *new], key=itemgetter(0, 1))


def _by_fate(batch: pa.RecordBatch) -> dict[tuple[str, str, str], list[int]]:
    """Rows by (status, stage, reason)."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    ledger = (batch[name].to_pylist() for name in ("status", "stage", "reason"))
    for row, (status, stage, reason) in enumerate(zip(*ledger, strict=True)):
        groups.setdefault((status, stage or "", reason or ""), []).append(row)
    return groups
