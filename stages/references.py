# SPDX-License-Identifier: Apache-2.0
"""Given pictures of the subjects, and where these are in them. In: what is asked for. Out: references."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa
from PIL.Image import Image

from models.references import opened_reference
from stages.base import Resources, Stage, TableFunction
from stages.detect import Detect
from stages.finder import Entity, Finder, finder_of, nouns_of
from stages.images import encoded
from stages.pictured import REFERENCES
from stages.rows import Outcome, Row
from stages.segment import Segment
from stages.select import Select
from stages.set_row import SetRow
from stages.whole_set import set_function

_KEPT = 256
"""References whose masks a worker remembers: subjects come again with every method and seed."""


@dataclass(frozen=True, kw_only=True)
class References(Stage):
    """Opens a set's references and cuts their subjects out."""

    inputs: ClassVar[tuple[str, ...]] = ("source_meta",)
    outputs: ClassVar[pa.Schema] = pa.schema([REFERENCES])
    drops: ClassVar[tuple[str, ...]] = ("source_bytes",)
    whole: ClassVar[bool] = True

    detect: Detect = field(default_factory=Detect)
    """How subjects are found."""
    select: Select = field(default_factory=Select)
    """Which boxes count."""
    segment: Segment = field(default_factory=Segment)
    """How they are cut out."""
    resources: Resources | None = field(default_factory=Resources)

    def setup(self) -> TableFunction:
        """Load detector and segmenter."""
        finder = finder_of(self.detect, self.select, self.segment)

        @lru_cache(_KEPT)
        def found(name: str, digest: str | None, word: str) -> Row:
            return _reference(finder, opened_reference(name, digest), word)

        def work(asked: list[SetRow], rows: list[Row]) -> Sequence[Outcome]:
            first = [
                {"subject": place, **found(name, digest, each.word)}
                for place, each in enumerate(asked[0].individuals)
                for name, digest in each.given
            ]
            style = asked[0].style
            first += [
                {"subject": len(asked[0].individuals), "image": encoded(opened_reference(*each)), "rle": None}
                for each in (style.given if style else ())
            ]
            return [{"references": first if place == 0 else None} for place in range(len(rows))]

        return set_function(self, "references", work)


def _reference(finder: Finder, picture: Image, word: str) -> dict[str, Any]:
    image = encoded(picture)
    (entities,) = finder([image], [nouns_of([word], word)])
    best: Entity | None = next(iter(entities), None)
    return {"image": image, "rle": best["rle"] if best else None}
