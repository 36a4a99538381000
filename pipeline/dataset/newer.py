# SPDX-License-Identifier: Apache-2.0
"""Which rows of a dataset have been replaced by those of a later shard, as retries write them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.layout import all_shards
from pipeline.dataset.parts import RETRY, part_files, read_part
from pipeline.dataset.shard_table import shard_table
from pipeline.dataset.totals import Totals
from pipeline.errors import UserError
from stages.columns import ERROR, REJECTED
from stages.shard.files import ShardFiles, place_of
from stages.shard.place import Place

Replaced = Mapping[int, Collection[str]]
"""By shard number the keys of rows that are no longer the newest of their source items."""


def replaced_rows(root: Place) -> Replaced:
    """Read what the committed shards of retries replace; memory grows with what was retried only.

    Raises:
        UserError: such a shard's parquet, or its part's listing, cannot be read.
    """
    found: dict[int, set[str]] = defaultdict(set)
    try:
        for shard in retry_shards(root):
            with shard_table(shard) as file:
                keys = file.read(columns=["replaces"])["replaces"].to_pylist()
            for key in filter(None, keys):
                found[place_of(key)[0]].add(key)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"{root}: what was retried cannot be read ({error}); see `verify`") from error
    return found


def retry_shards(root: Place) -> list[ShardFiles]:
    """The committed shards that retries have written, in order.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: a part's listing cannot be read.
    """
    parts = [part for part in map(read_part, part_files(root)) if part.kind == RETRY]
    if not parts:
        return []
    return [shard for shard in all_shards(root) if any(shard.number in part.numbers for part in parts)]


def newest(rows: pa.Table, replaced: Collection[str]) -> pa.Table:
    """A shard's rows less those that were replaced."""
    if not replaced:
        return rows
    gone = pc.is_in(rows["key"], value_set=pa.array(sorted(replaced)))  # pyright: ignore[reportAttributeAccessIssue]
    return rows.filter(pc.invert(gone))  # pyright: ignore[reportAttributeAccessIssue]


def without_replaced(added: Totals, shards: Collection[ShardFiles], replaced: Replaced) -> Totals:
    """Totals of all shards less the rows that were replaced: each source item counts once.

    Raises:
        UserError: a shard's table cannot be read.
    """
    added = replace(added, reasons={stage: counts.copy() for stage, counts in added.reasons.items()})
    for shard in shards:
        if not (keys := replaced.get(shard.number)):
            continue
        with shard_table(shard) as file:
            old = file.read(columns=["key", "status", "stage", "reason"])
        for row in old.filter(pc.is_in(old["key"], value_set=pa.array(sorted(keys)))).to_pylist():  # pyright: ignore[reportAttributeAccessIssue]
            added.rows -= 1
            added.rejected -= row["status"] == REJECTED
            added.errors -= row["status"] == ERROR
            if row["stage"] in added.reasons:
                added.reasons[row["stage"]][row["reason"]] -= 1
    added.reasons = {stage: +counts for stage, counts in added.reasons.items() if +counts}
    return added
