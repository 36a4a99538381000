# SPDX-License-Identifier: Apache-2.0
"""Some of a source's pictures, evenly from all of it: what comes first in a folder is often alike."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.sources import Source
from pipeline.sources.location import Location


@dataclass(frozen=True, slots=True)
class Sample:
    """A source of fewer pictures."""

    source: Source
    count: int
    """At most."""

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
        whole = self.source.listing()
        places = np.linspace(0, whole.num_rows - 1, min(self.count, whole.num_rows)).round().astype(int)
        return whole.take(pa.array(places, pa.int64()))

    def fetch(self, items: pa.Table) -> pa.Table:
        """See `Source.fetch`."""
        return self.source.fetch(items)
