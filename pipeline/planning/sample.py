# SPDX-License-Identifier: Apache-2.0
"""Some of a source's pictures, evenly from all of it: what comes first in a folder is often alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.sources import Source
from pipeline.sources.location import Location


@dataclass(frozen=True, slots=True)
class Sample:
    """A source of fewer pictures."""

    source: Source
    rows: pa.Table
    """Of the source's listing."""

    @classmethod
    def of(cls, source: Source, listing: pa.Table, count: int) -> Sample:
        """At most so many of what a source has listed."""
        places = np.linspace(0, listing.num_rows - 1, min(count, listing.num_rows)).round().astype(int)
        return cls(source, listing.take(pa.array(places, pa.int64())))

    def first(self, count: int) -> Sample:
        """So many of them."""
        return Sample(self.source, self.rows.slice(0, count))

    @property
    def location(self) -> Location:
        """The whole source's."""
        return self.source.location

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The whole source's."""
        return self.source.suffixes

    def listing(self) -> pa.Table:
        """See `Source.listing`."""
        return self.rows

    def fetch(self, items: pa.Table) -> pa.Table:
        """See `Source.fetch`."""
        return self.source.fetch(items)
