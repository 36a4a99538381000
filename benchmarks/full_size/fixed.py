# SPDX-License-Identifier: Apache-2.0
"""Stages that put the same four nouns and boxes into every row: weights made by chance say nothing."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from models.backends.protocols import NounPhrase
from stages.base import Stage, TableFunction
from stages.columns import DETECTION, NOUN
from stages.nouns import prompted
from stages.rows import table_function

SIZE = 640, 480
"""Width and height of the pictures."""
TOKENS = 20
"""Of a caption."""
UNFOUND = 1.0
"""A threshold that no box reaches: how many would pass a lower one is chance, up to all 900."""
CAPTION = "a cat, a dog, a mug and a car"
WORDS = ("cat", "dog", "mug", "car")
SHARES = ((0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5), (0.0, 0.5, 0.5, 1.0), (0.25, 0.25, 0.75, 0.75))
"""Boxes as shares of width and height."""


@dataclass(frozen=True, kw_only=True)
class FourNouns(Stage):
    """After the captioner."""

    inputs: ClassVar[tuple[str, ...]] = ("caption",)
    outputs: ClassVar[pa.Schema] = pa.schema(
        [pa.field("caption", pa.string()), pa.field("nouns", pa.list_(NOUN))]
    )

    def setup(self) -> TableFunction:
        """See `Stage.setup`."""
        phrases = [
            NounPhrase(start - 2, start + len(word), start, start + len(word), word)
            for word in WORDS
            for start in [CAPTION.index(word)]
        ]
        found = {"caption": CAPTION, "nouns": prompted(CAPTION, phrases)}
        return table_function(self, "four_nouns", lambda rows: [found for _ in rows], 64)


@dataclass(frozen=True, kw_only=True)
class FourBoxes(Stage):
    """After the detector."""

    inputs: ClassVar[tuple[str, ...]] = ("width", "height")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("detections", pa.list_(DETECTION))])

    def setup(self) -> TableFunction:
        """See `Stage.setup`."""

        def found(row: dict[str, Any]) -> dict[str, Any]:
            sides = (row["width"], row["height"]) * 2
            boxes = [[share * side for share, side in zip(each, sides, strict=True)] for each in SHARES]
            return {"detections": [{"noun": n, "box": box, "score": 0.9} for n, box in enumerate(boxes)]}

        return table_function(self, "four_boxes", lambda rows: [found(row) for row in rows], 64)
