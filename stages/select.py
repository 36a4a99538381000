# SPDX-License-Identifier: Apache-2.0
"""Which boxes are subjects. In: detections. Out: entities, best first.

The thresholds are those of Subject-Diffusion's builder and loader where they have one; by default only
duplicates go: every score is kept, so that a stricter choice is a query on the dataset.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from models.backends.bounds import Count, Ratio, Share, Tally
from stages.base import Resources, Stage, TableFunction
from stages.boxes import areas, containers, suppressed
from stages.columns import ENTITY
from stages.rows import Outcome, Reject, Row, table_function


@dataclass(frozen=True, kw_only=True)
class Select(Stage):
    """Box filters, non-maximum suppression, containment."""

    inputs: ClassVar[tuple[str, ...]] = ("width", "height", "nouns", "detections")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("entities", pa.list_(ENTITY))])
    drops: ClassVar[tuple[str, ...]] = ("detections",)

    min_detections: Tally = 1
    """Fewer detections, before any is dropped, reject the sample (Subject-Diffusion's builder: 2)."""
    max_detections: Count | None = None
    """More detections reject it (Subject-Diffusion's builder: 8)."""
    min_score: Share = 0.0
    """Boxes must score more than this."""
    min_area: Share = 0.0
    """Smallest box, as a share of the image (Subject-Diffusion's loader: 0.08)."""
    max_area: Share = 1.0
    """Largest box, as a share of the image (Subject-Diffusion's loader: 0.7)."""
    max_elongation: Ratio = 1_000.0
    """Longest side over shortest (Subject-Diffusion's loader: 3)."""
    nms_iou: Share = 0.5
    """Two boxes of one noun that overlap more are one thing."""
    nms_iou_across: Share = 0.8
    """Two boxes of different nouns that overlap more are one thing; the better label stays."""
    containment: Share = 0.8
    """A box that lies in a larger one by more than this share is marked as contained in it."""
    min_entities: Tally = 1
    """Fewer entities reject the sample."""
    max_entities: Count = 8
    """More entities reject it. At most 255, the label map has one byte."""
    resources: Resources | None = None

    def __post_init__(self) -> None:
        """Check what no single field can.

        Raises:
            ValueError: if the label map could not hold `max_entities`, or if a least is above its most.
        """
        if not 1 <= self.max_entities <= 255:
            raise ValueError(f"max_entities must be between 1 and 255, not {self.max_entities}")
        for what in ("detections", "area", "entities"):
            least, most = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if most is not None and least > most:
                raise ValueError(f"min_{what} is {least}, more than max_{what}, {most}")

    def setup(self) -> TableFunction:
        """Nothing to load."""
        return table_function(self, "select", lambda rows: [self._outcome(row) for row in rows], 64)

    def _outcome(self, row: Row) -> Outcome:
        entities = self._entities(row)
        columns = {"entities": entities}
        count = len(row["detections"])
        if not count:
            return Reject("nothing_detected", None, columns)
        if count < self.min_detections:
            return Reject("too_few_detections", f"{count} of at least {self.min_detections}", columns)
        if self.max_detections is not None and count > self.max_detections:
            return Reject("too_many_detections", f"{count} of at most {self.max_detections}", columns)
        if len(entities) < self.min_entities:
            return Reject("too_few_entities", f"{len(entities)} of at least {self.min_entities}", columns)
        if len(entities) > self.max_entities:
            return Reject("too_many_entities", f"{len(entities)} of at most {self.max_entities}", columns)
        return columns

    def _entities(self, row: Row) -> list[Row]:
        found = sorted(row["detections"], key=lambda d: (-d["score"], d["noun"], d["box"]))
        found = [detection for detection in found if self._fits(detection, row)]
        if not found:
            return []
        box_N4 = np.array([detection["box"] for detection in found], dtype=np.float64)
        labels = np.array([detection["noun"] for detection in found])
        kept = suppressed(box_N4, labels, self.nms_iou, self.nms_iou_across)
        inside = containers(box_N4[kept], self.containment)
        return [
            _entity(place + 1, found[index], row["nouns"], inside[place] + 1 if inside[place] >= 0 else -1)
            for place, index in enumerate(kept)
        ]

    def _fits(self, detection: Row, row: Row) -> bool:
        box = np.array([detection["box"]])
        width, height = (box[0, 2:] - box[0, :2]).tolist()
        share = float(areas(box)[0]) / (row["width"] * row["height"])
        return (
            detection["score"] > self.min_score
            and self.min_area <= share <= self.max_area
            and max(width, height) <= self.max_elongation * min(width, height)
        )


def _entity(number: int, detection: Row, nouns: list[Row], contained_in: int) -> Row:
    noun = nouns[detection["noun"]]
    return {
        "id": number,
        "text": noun["text"],
        "lemma": noun["lemma"],
        "span": noun["span"],
        "box": detection["box"],
        "det_score": detection["score"],
        "contained_in": contained_in,
    }
