# SPDX-License-Identifier: Apache-2.0
"""Where subjects are in drawn pictures. In: pictures and nouns. Out: entities; none where none is found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from models.backends.bounds import Count
from stages.base import Resources, Stage, TableFunction
from stages.columns import ENTITY
from stages.detect import Detect
from stages.finder import finder_of
from stages.rows import Outcome, Row, table_function
from stages.segment import Segment
from stages.select import Select


@dataclass(frozen=True, kw_only=True)
class Find(Stage):
    """The builder's detect, select and segment, for pictures that count whatever is in them."""

    inputs: ClassVar[tuple[str, ...]] = ("image", "nouns")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("entities", pa.list_(ENTITY))])
    version: ClassVar[int] = 2

    detect: Detect = field(default_factory=Detect)
    """How subjects are found."""
    select: Select = field(default_factory=Select)
    """Which boxes count."""
    segment: Segment = field(default_factory=Segment)
    """How they are cut out."""
    batch_size: Count = 8
    """Pictures at a time."""
    resources: Resources | None = None

    def setup(self) -> TableFunction:
        """Load detector and segmenter."""
        finder = finder_of(self.detect, self.select, self.segment)

        def work(rows: list[Row]) -> Sequence[Outcome]:
            found = finder([row["image"] for row in rows], [row["nouns"] for row in rows])
            return [{"entities": entities} for entities in found]

        return table_function(self, "find", work, self.batch_size)
