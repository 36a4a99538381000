# SPDX-License-Identifier: Apache-2.0
"""Find what the caption names. In: image and nouns. Out: boxes, each with the noun it scored."""

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from models.backends.bounds import Count, Share
from models.backends.grounding_dino import GroundingDino
from models.backends.protocols import Detection, Detector
from stages.ahead import PREPARED
from stages.backend import Backend
from stages.base import Resources, Stage, TableFunction
from stages.columns import DETECTION
from stages.images import decoding
from stages.rows import Outcome, Row, table_function


@dataclass(frozen=True, kw_only=True)
class Detect(Stage):
    """Open-vocabulary detection of an image's own nouns."""

    inputs: ClassVar[tuple[str, ...]] = ("image", "width", "height", "nouns")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("detections", pa.list_(DETECTION))])
    version: ClassVar[int] = 3

    detector: Backend[Detector] = field(default_factory=GroundingDino)
    """Which model, and how it runs."""
    box_threshold: Share = 0.25
    """Boxes must score more than this."""
    batch_size: Count = 8
    """Images a forward pass."""
    decode_side: Count = 800
    """JPEGs may be decoded smaller as long as both sides keep this many pixels: what the detector resizes
    the shorter side to."""
    resources: Resources | None = field(default_factory=Resources)

    def setup(self) -> TableFunction:
        """Load the detector."""
        detector = self.detector.load()

        def work(rows: list[Row]) -> list[Outcome]:
            images = [row[PREPARED]() for row in rows]
            # The same words asked for twice would split one thing's score between two equal phrases.
            asked = [list(dict.fromkeys(noun["prompt"] for noun in row["nouns"])) for row in rows]
            found = detector.detect(images, asked, self.box_threshold)
            return [
                {"detections": [_detection(d, words, image.size, row) for d in boxes]}
                for boxes, words, image, row in zip(found, asked, images, rows, strict=True)
            ]

        decode = decoding(self, self.decode_side)
        return table_function(self, "detect", work, self.batch_size, order=_aspect, prepare=decode)


def _aspect(row: Row) -> float:
    """Pictures of one shape are padded to one size, and go through the detector together."""
    return row["width"] / row["height"]


def _detection(detection: Detection, words: list[str], seen: tuple[int, int], row: Row) -> Row:
    prompts = [noun["prompt"] for noun in row["nouns"]]
    across, down = row["width"] / seen[0], row["height"] / seen[1]
    return {
        "noun": prompts.index(words[detection.phrase]),
        "box": [side * scale for side, scale in zip(detection.box, (across, down) * 2, strict=True)],
        "score": detection.score,
    }
