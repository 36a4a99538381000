# SPDX-License-Identifier: Apache-2.0
"""How a listing is cut into shards: a pure function of the sorted listing and the shard's size."""

import hashlib
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.base import LISTING
from stages.shard.place import Place, open_parquet

_ROWS = 1 << 16  # turned into text at a time


def shard_count(n_items: int, shard_size: int) -> int:
    """How many shards `n_items` make; all but the last have `shard_size` (at least 1) items."""
    if shard_size < 1:
        raise ValueError(f"shard_size is {shard_size}; it must be at least 1")
    return -(-n_items // shard_size)


def shard_slice(index: int, shard_size: int) -> slice:
    """The rows of the listing that are shard `index`; of the last shard, as many as there are."""
    return slice(index * shard_size, (index + 1) * shard_size)


def sample_key(shard: int, index: int) -> str:
    """The key of a sample from its shard and its place there: unique, without a dot, sorted like both."""
    return f"{shard:05d}-{index:05d}"


def write_listing(listing: pa.Table, stream: Any, shard_size: int) -> None:
    """Write a listing into a path or binary stream, one row group a shard; equal listings, equal bytes."""
    with pq.ParquetWriter(stream, LISTING, compression="zstd") as writer:
        for shard in range(shard_count(listing.num_rows, shard_size)):
            rows = shard_slice(shard, shard_size)
            # Compacted, because pages end where the chunks of a table happen to.
            part = listing.slice(rows.start, shard_size).combine_chunks().cast(LISTING)
            writer.write_table(part, row_group_size=shard_size)


def holds_listing(path: Place, listing: pa.Table, shard_size: int) -> bool:
    """Whether a file is there that has a listing's samples in its row groups, by its footer."""
    try:
        found = open_parquet(path).metadata
    except (OSError, pa.ArrowException):
        return False
    shards = shard_count(listing.num_rows, shard_size)
    return (found.num_rows, found.num_row_groups) == (listing.num_rows, shards)


def read_shard_listing(path: Place, shard: int) -> pa.Table:
    """Read the rows of one shard, and no others, of what `write_listing` wrote."""
    with open_parquet(path) as file:
        return file.read_row_group(shard)


def listing_digest(listing: pa.Table) -> str:
    """SHA-256 of which samples there are and where in their files they lie, as 64 hex digits.

    Where the files are is left out: the same pictures under another mount are the same input.
    """
    digest = hashlib.sha256()
    for start in range(0, listing.num_rows, _ROWS):
        for column in _facts(listing.slice(start, _ROWS)):
            digest.update(json.dumps(column.to_pylist()).encode())
    return digest.hexdigest()


def _facts(rows: pa.Table) -> list[pa.Array]:
    members = rows["members"].combine_chunks()
    names = ("source_key", "row", "status", "reason")
    return [*(rows[name] for name in names), members.value_lengths(), *members.flatten().flatten()]
