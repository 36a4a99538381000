# SPDX-License-Identifier: Apache-2.0
"""Rows that take the place of older ones: each must name a row that it may replace."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.parts import RETRY, Part
from pipeline.dataset.problem import Problem
from stages.columns import OK
from stages.shard.files import ShardFiles, place_of
from stages.shard.place import open_parquet


class Listed(NamedTuple):
    """What a row was to be about."""

    source_key: str
    replaces: str | None
    """Key of the older row, for a row that is made anew."""


def listed_rows(listing: pq.ParquetFile, place: int) -> list[Listed]:
    """What the shard at this place of a part's listing was to hold, in order."""
    rows = listing.read_row_group(place, columns=["source_key", "replaces"])
    pairs = zip(rows["source_key"].to_pylist(), rows["replaces"].to_pylist(), strict=True)
    return [Listed(*pair) for pair in pairs]


def check_replacing(
    shards: Sequence[ShardFiles], parts: Sequence[Part]
) -> tuple[dict[int, frozenset[str]], list[Problem]]:
    """By shard number, keys of rows that later shards replace; and what is wrong with those that do."""
    by_number = {shard.number: shard for shard in shards}
    found: dict[int, dict[str, str]] = defaultdict(dict)
    problems: list[Problem] = []
    for part in (part for part in parts if part.kind == RETRY):
        try:
            # By its listing: what a damaged shard replaced is known all the same.
            columns = ["source_key", "replaces"]
            for number, rows in zip(part.numbers, part.all_rows(columns), strict=True):
                if number in by_number:
                    problems += _check_new(by_number[number], rows.to_pylist(), found)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            problems.append(Problem("", f"{part.listing.name}: what rows replace is unreadable: {error}"))
    problems += [
        what for number in sorted(found) for what in _check_old(by_number.get(number), found[number])
    ]
    return {number: frozenset(found[number]) for number in by_number}, problems


def _check_new(
    shard: ShardFiles, rows: Sequence[dict[str, str]], found: dict[int, dict[str, str]]
) -> Iterator[Problem]:
    """Each row's older one is in an earlier shard, and nobody else's; adds them to those that were found."""
    for index, row in enumerate(rows):
        key = row["replaces"]
        target = place_of(key)[0] if key else shard.number
        if not key or key in found[target] or target >= shard.number:
            what = f"replaces {key}, which is no older row, or replaced already"
            yield Problem(f"{shard.folder.name}/{shard.stem}", what, f"{shard.stem}-{index:05d}")
        else:
            found[target][key] = row["source_key"]


def _check_old(shard: ShardFiles | None, wanted: dict[str, str]) -> Iterator[Problem]:
    """Only rows of the same item that came to nothing may be replaced: else one is lost, or there twice."""
    try:
        rows = [] if shard is None else _rows(shard, ("key", "source_key", "status"))
        old = {row["key"]: row for row in rows}
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return
    for key, source_key in sorted(wanted.items()):
        if key not in old or old[key]["status"] == OK:
            yield Problem("", "a later shard replaces this row, which is a sample, or is not there", key)
        elif old[key]["source_key"] != source_key:
            yield Problem("", f"a later shard replaces this row by one of another item, {source_key!r}", key)


def _rows(shard: ShardFiles, columns: Sequence[str]) -> list[dict[str, str]]:
    with open_parquet(shard.parquet) as file:
        return file.read(columns=list(columns)).to_pylist()
