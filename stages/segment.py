# SPDX-License-Identifier: Apache-2.0
"""Cut the subjects out. In: image and entities. Out: the entities with masks as COCO run lengths."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pycocotools import mask as coco_mask

from models.backends.bounds import Count
from models.backends.protocols import Mask, Segmenter
from models.backends.sam import Sam
from stages.ahead import PREPARED
from stages.backend import Backend
from stages.base import Resources, Stage, TableFunction
from stages.columns import ENTITY
from stages.images import decoding
from stages.rows import Outcome, Row, table_function


@dataclass(frozen=True, kw_only=True)
class Segment(Stage):
    """One mask a box."""

    inputs: ClassVar[tuple[str, ...]] = ("image", "entities")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("entities", pa.list_(ENTITY))])
    version: ClassVar[int] = 3

    segmenter: Backend[Segmenter] = field(default_factory=Sam)
    """Which model, and how it runs."""
    batch_size: Count = 4
    """Images a forward pass."""
    resources: Resources | None = field(default_factory=Resources)

    def setup(self) -> TableFunction:
        """Load the segmenter."""
        segmenter = self.segmenter.load()

        def work(rows: list[Row]) -> list[Outcome]:
            images = [row[PREPARED]() for row in rows]
            boxes = [np.array([e["box"] for e in row["entities"]], dtype=np.float64) for row in rows]
            masks = segmenter.segment(images, boxes)
            return [
                {"entities": [e | _measured(mask) for e, mask in zip(row["entities"], found, strict=True)]}
                for row, found in zip(rows, masks, strict=True)
            ]

        decode = decoding(self)
        return table_function(self, "segment", work, self.batch_size, prepare=decode)


def _measured(mask: Mask) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask.pixels, dtype=np.uint8))
    left, top, width, height = (int(value) for value in coco_mask.toBbox(encoded))
    return {
        "mask_score": mask.score,
        "stability": mask.stability,
        "area": int(coco_mask.area(encoded)),
        "mask_box": [left, top, left + width, top + height],
        "rle": {"size": list(mask.pixels.shape), "counts": encoded["counts"].decode()},  # pyright: ignore[reportAttributeAccessIssue]
    }
