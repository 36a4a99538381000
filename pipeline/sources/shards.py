# SPDX-License-Identifier: Apache-2.0
"""How a listing is cut into shards: a pure function of the sorted listing and the shard's size."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.base import LISTING


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


def write_row_groups(parts: Iterable[pa.Table], stream: Any, schema: pa.Schema = LISTING) -> None:
    """Write pieces of a listing into a binary stream, each a row group; equal pieces, equal bytes.

    Pages have checksums: a listing with a flipped bit must not be taken for another listing.
    """
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        for part in parts:
            # Compacted, because pages end where the chunks of a table happen to.
            writer.write_table(part.combine_chunks().cast(schema), row_group_size=max(part.num_rows, 1))
