# SPDX-License-Identifier: Apache-2.0
"""A shard's rows from the source: keys given, files still undecoded."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.sources import Source
from pipeline.sources.shards import read_shard_listing, sample_key
from stages.columns import RAW
from stages.shard.place import Place


@dataclass(frozen=True, slots=True)
class ShardReader:
    """Reads any shard of a run; small enough to be sent to every worker."""

    source: Source
    listing: Place
    """The run's `_meta/source.parquet`."""

    def __call__(self, shard: int) -> pa.Table:
        """All rows of a shard, in source order, with the columns of `stages.columns.RAW`."""
        table = self.source.fetch(read_shard_listing(self.listing, shard))
        keys = pa.array([sample_key(shard, index) for index in range(table.num_rows)], pa.string())
        return table.add_column(0, RAW.field("key"), keys).select(RAW.names).cast(RAW)
