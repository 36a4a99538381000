# SPDX-License-Identifier: Apache-2.0
"""A shard's rows from the source: keys given, files still undecoded."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.dataset.parts import DamagedListing, Part
from pipeline.isolation import isolated
from pipeline.sources import LISTING, Source
from pipeline.sources.shards import sample_key
from stages.attempts import Attempts
from stages.columns import RAW


@dataclass(frozen=True, slots=True)
class ShardReader:
    """Reads any shard of a run; small enough to be sent to every worker."""

    source: Source
    parts: tuple[Part, ...]
    """The parts that the run's shards are in."""

    def listing(self, shard: int) -> pa.Table:
        """What a shard is to hold, as `pipeline.sources.base.LISTING`.

        Raises:
            DamagedListing: it cannot be read.
        """
        part = next(part for part in self.parts if shard in part.numbers)
        rows = part.rows(shard)
        if rows.column_names != LISTING.names:
            raise DamagedListing(part.listing, ValueError("it has other columns"))
        return rows

    def __call__(self, shard: int, attempts: Attempts) -> pa.Table:
        """All rows of a shard, in source order, with the columns of `stages.columns.RAW`.

        Args:
            shard: its number.
            attempts: the notes about the shard at its first operator.
        """
        table = isolated("fetch", self.source.fetch, self.listing(shard), attempts)
        keys = pa.array([sample_key(shard, index) for index in range(table.num_rows)], pa.string())
        return table.add_column(0, RAW.field("key"), keys).select(RAW.names).cast(RAW)
