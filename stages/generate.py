# SPDX-License-Identifier: Apache-2.0
"""Draw a set by a method. In: what is asked for, references. Out: pictures, and what they cost."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from PIL.Image import Image

from models.consistency.method import Tell
from models.generation import TextToImage
from stages.attempts import in_hand
from stages.base import Resources, Stage, TableFunction
from stages.columns import IMAGE, NOUN
from stages.drawing import Drawing
from stages.finder import nouns_of
from stages.images import encoded
from stages.learning import Given
from stages.peak_memory import PeakMemory
from stages.pictured import REFERENCES, pictured, style_pictures
from stages.rows import Outcome, Row
from stages.set_row import SetRow
from stages.whole_set import set_function

ABOUT = pa.schema(
    [
        pa.field("setting", pa.string()),
        pa.field("set_name", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("place", pa.int32()),
        pa.field("tuning_seconds", pa.float64()),
        pa.field("image_seconds", pa.float64()),
        pa.field("subject_bytes", pa.int64()),
        pa.field("memory_bytes", pa.int64()),
    ]
)
"""`tuning_seconds` is of all subjects of the set together, whenever they were learnt; `memory_bytes` the most
that drawing and learning needed, of the GPU or else of the worker's process."""


_EVERY = 20.0
"""Seconds between two notes."""


@dataclass(frozen=True, kw_only=True)
class Generate(Stage):
    """All pictures of a set, by one method and one seed."""

    inputs: ClassVar[tuple[str, ...]] = ("source_meta", REFERENCES.name)
    outputs: ClassVar[pa.Schema] = pa.schema(
        [*IMAGE, pa.field("caption", pa.string()), pa.field("nouns", pa.list_(NOUN)), *ABOUT]
    )
    whole: ClassVar[bool] = True

    sampler: TextToImage = field(default_factory=TextToImage)
    """The model that methods work in, and how it samples."""
    negative: str | None = None
    """What no picture is to show, for methods that take a negative prompt."""
    folder: str = field(default="", repr=False, metadata={"by_run": True})
    """Of the evaluation; the run sets it."""
    token: str = field(default="", metadata={"by_run": True})
    """Of the lease that the run holds on the folder; the run sets it."""
    resources: Resources | None = field(default_factory=Resources)

    def setup(self) -> TableFunction:
        """Models are loaded by the first set that needs them."""
        drawing = Drawing(self.sampler, self.negative, Path(self.folder) / "_meta" / "subjects")

        def work(asked: list[SetRow], rows: list[Row]) -> Sequence[Outcome]:
            given = rows[0][REFERENCES.name], len(asked[0].individuals)
            peak = PeakMemory()
            images, cost = drawing(asked, Given(pictured(*given), style_pictures(*given)), _noting(len(rows)))
            about = {
                "setting": asked[0].setting,
                "set_name": asked[0].name,
                "seed": asked[0].seed,
                "tuning_seconds": cost.tuning_seconds,
                "image_seconds": cost.image_seconds,
                "subject_bytes": cost.subject_bytes,
                "memory_bytes": peak.bytes(),
            }
            pairs = zip(asked, images, strict=True)
            return [{**_picture(row, image), **about, "place": row.place} for row, image in pairs]

        return set_function(self, "generate", work)


def _noting(rows: int) -> Tell:
    """Notes now and then that the rows are still in hand: learning a subject may take an hour."""
    last = time.monotonic()

    def tell(_done: int, _of: int, _what: str) -> None:
        nonlocal last
        if time.monotonic() - last > _EVERY:
            last = time.monotonic()
            in_hand(0, rows - 1)

    return tell


def _picture(row: SetRow, image: Image) -> Row:
    (width, height), stored = image.size, encoded(image)
    return {
        "image": stored,
        "reencoded": True,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "sha256": hashlib.sha256(stored).hexdigest(),
        "caption": row.prompt,
        "nouns": nouns_of(row.words, row.prompt),
    }
