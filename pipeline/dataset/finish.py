# SPDX-License-Identifier: Apache-2.0
"""What a dataset gets once its shards are there: the list of shards, the index, the card.

All of it follows from the shards and from what the build wrote about itself; doing it again changes
nothing.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.card import card
from pipeline.dataset.layout import (
    card_path,
    committed_shards,
    draft_folders,
    index_path,
    shards_path,
)
from pipeline.dataset.newer import Replaced, newest, replaced_rows, without_replaced
from pipeline.dataset.parts import read_parts
from pipeline.dataset.sealed import seal
from pipeline.dataset.shard_table import check_whole, shard_table
from pipeline.dataset.totals import Totals, all_stats, totals
from pipeline.errors import UserError
from stages.columns import SAMPLE
from stages.extra_columns import extra_columns
from stages.shard.commit import remove_leftovers, replace, rewrite
from stages.shard.files import ShardFiles
from stages.shard.place import Place, open_parquet

_MADE_OF = b"subjectforge.made_of"
"""Where the index says in its metadata what it was made of."""
_MASK = re.compile(r"entities\..+\.rle\.")


def finish_dataset(root: Place, split: str = "train") -> Totals:
    """Write what follows from the shards; return what they add up to.

    That is `_meta/shards.json`, `_meta/index.parquet`, `README.md` and, last, `_meta/digests.json`.
    Also removes temporary files that dead writers left.

    Raises:
        UserError: if a shard's stats or table, or a listing, is not what was written, or if the shards have
            different columns.
    """
    for folder in draft_folders(root, split):
        remove_leftovers(folder)
    shards = committed_shards(root, split)
    replaced = replaced_rows(root)
    listing, made_of = _listed(split, shards, replaced)
    if not _is_index_of(index_path(root), made_of):
        _write_index(index_path(root), shards, replaced, made_of)
    replace(shards_path(root), (json.dumps(listing, indent=1) + "\n").encode())
    added = without_replaced(totals(shards), shards, replaced)
    extra = extra_columns(open_parquet(index_path(root)).schema_arrow)
    replace(card_path(root), card(root, split, added, extra).encode())
    _read_listings(root)
    seal(root)
    return added


def _read_listings(root: Place) -> None:
    """See that all of the listings can be read: what is sealed counts as sound."""
    for part in read_parts(root):
        for _ in part.all_rows():
            pass


def _listed(
    split: str, shards: Sequence[ShardFiles], replaced: Replaced
) -> tuple[list[dict[str, Any]], bytes]:
    """The list of shards, and a digest of what decides the index: their tables, and the rows replaced."""
    listing, digest = [], hashlib.sha256()
    for shard, stats in zip(shards, all_stats(shards), strict=True):
        listing.append(_entry(split, shard, stats))
        gone = sorted(replaced.get(shard.number, ()))
        digest.update(json.dumps([shard.number, stats["files"]["parquet"]["sha256"], gone]).encode())
    return listing, digest.hexdigest().encode()


def _entry(split: str, shard: ShardFiles, stats: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": f"data/{split}/{shard.tar.name}",
        "nsamples": stats["successes"],
        "rows": stats["count"],
        **stats["files"]["tar"],
    }


def _is_index_of(path: Place, made_of: bytes) -> bool:
    try:
        return (open_parquet(path).schema_arrow.metadata or {}).get(_MADE_OF) == made_of
    except (OSError, pa.ArrowException):
        return False


def _write_index(path: Place, shards: Sequence[ShardFiles], replaced: Replaced, made_of: bytes) -> None:
    """The newest rows without the masks, one shard a row group, so that memory stays that of one shard."""
    rewrite(path, lambda stream: _copy_rows(stream, shards, replaced, made_of))


def _copy_rows(stream: Any, shards: Sequence[ShardFiles], replaced: Replaced, made_of: bytes) -> None:
    tables = (newest(_without_masks(shard), replaced.get(shard.number, ())) for shard in shards)
    first = next(tables, SAMPLE.empty_table())
    about = {**(first.schema.metadata or {}), _MADE_OF: made_of}
    with pq.ParquetWriter(stream, first.schema.with_metadata(about), compression="zstd") as writer:
        for shard, table in zip(shards, chain([first], tables), strict=False):
            if not table.schema.equals(first.schema):
                raise UserError(
                    f"{shard.parquet} has other columns than the shards before it: a stage has changed what "
                    "it adds; build into another --output"
                )
            # One row group a shard, also if it is a long one; none for a shard without a row.
            writer.write_table(table, row_group_size=max(table.num_rows, 1))


def _without_masks(shard: ShardFiles) -> pa.Table:
    check_whole(shard)
    with shard_table(shard) as file:
        leaves = [file.schema.column(index).path for index in range(len(file.schema))]
        return file.read(columns=[leaf for leaf in leaves if not _MASK.match(leaf)])
