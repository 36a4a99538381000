# SPDX-License-Identifier: Apache-2.0
"""Subjects found in pictures by the builder's own stages: detect, select, segment.

Shapes: H, W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pycocotools import mask as coco_mask

from stages.columns import LEDGER, NOUN, OK
from stages.detect import Detect
from stages.segment import Segment
from stages.select import Select

Entity = dict[str, Any]
Noun = dict[str, Any]
_PICTURES = pa.schema(
    [
        *LEDGER,
        pa.field("image", pa.large_binary()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("nouns", pa.list_(NOUN)),
    ]
)


@lru_cache(1)
def finder_of(detect: Detect, select: Select, segment: Segment) -> Finder:
    """A worker's only one, which all of its stages share: the models are loaded once."""
    return Finder(detect, select, segment)


class Finder:
    """Boxes and masks of named subjects."""

    def __init__(self, detect: Detect, select: Select, segment: Segment) -> None:
        """Load the models."""
        self._functions = [stage.setup() for stage in (detect, select, segment)]

    def __call__(self, images: Sequence[bytes], nouns: Sequence[Sequence[Noun]]) -> list[list[Entity]]:
        """The entities of each picture (`stages.columns.ENTITY`), none where nothing is found.

        Args:
            images: encoded pictures.
            nouns: what to look for in each (`stages.columns.NOUN`).

        Raises:
            RuntimeError: a model fails on a picture.
        """
        rows = [_row(place, *pair) for place, pair in enumerate(zip(images, nouns, strict=True))]
        table = pa.Table.from_pylist(rows, _PICTURES)
        for function in self._functions:
            table = function(table)
        found = table.select(["status", "reason", "detail", "stage", "entities"]).to_pylist()
        for row in found:
            if row["status"] == "error":
                raise RuntimeError(f"{row['stage']}: {row['reason']}: {row['detail']}")
        return [row["entities"] if row["status"] == OK else [] for row in found]


def masks_of(entities: Sequence[Entity], words: Sequence[str]) -> list[np.ndarray | None]:
    """For each word the mask of the best entity of it that no word before has; bool (H, W), or None."""
    left, found = [*entities], []
    for word in words:
        best = next((entity for entity in left if entity["text"].lower() == word.lower()), None)
        left = [entity for entity in left if entity is not best]
        found.append(None if best is None else unpacked(best["rle"]))
    return found


def unpacked(rle: dict[str, Any]) -> np.ndarray:
    """Run lengths as a mask, bool (H, W)."""
    return np.asarray(coco_mask.decode({"size": rle["size"], "counts": rle["counts"].encode()}), bool)


def nouns_of(words: Sequence[str], text: str) -> list[Noun]:
    """Noun rows that ask for these words as they are, with their first places in a text."""
    found = []
    for word in words:
        begin = text.lower().find(word.lower())
        span = [begin, begin + len(word)] if begin >= 0 else [0, 0]
        parts = {"text": word, "lemma": word.lower(), "head": word.split()[-1]}
        found.append({**parts, "span": span, "head_span": span, "prompt": word.lower()})
    return found


def _row(place: int, image: bytes, nouns: Sequence[Noun]) -> dict[str, Any]:
    with Image.open(BytesIO(image)) as opened:
        width, height = opened.size
    key = {"key": str(place), "source_key": str(place), "source_uri": "", "status": OK}
    return {**key, "image": image, "width": width, "height": height, "nouns": [*nouns]}
