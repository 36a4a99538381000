# SPDX-License-Identifier: Apache-2.0
"""Given pictures of the subjects of a set, with where the subjects are, as they go from stage to stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from PIL.Image import Image

from models.metrics.image_set import Pictured
from stages.columns import RLE
from stages.finder import unpacked
from stages.images import decoded

REFERENCE = pa.struct(
    [
        pa.field("subject", pa.int32()),
        pa.field("image", pa.large_binary()),
        pa.field("rle", RLE),
    ]
)
"""`subject` is the place in the set's individuals, of a style the one after them; `rle` is null where the
subject was not found."""

REFERENCES = pa.field("references", pa.list_(REFERENCE))
"""Of a set's first row; other rows have none."""


def pictured(references: Sequence[dict[str, Any]] | None, subjects: int) -> tuple[tuple[Pictured, ...], ...]:
    """The given pictures of each subject.

    Args:
        references: a row's `REFERENCES`.
        subjects: how many there are.
    """
    found: list[list[Pictured]] = [[] for _ in range(subjects)]
    for reference in (each for each in references or () if each["subject"] < subjects):
        mask = None if reference["rle"] is None else unpacked(reference["rle"])
        found[reference["subject"]].append(Pictured(decoded(reference["image"]), (mask,)))
    return tuple(tuple(each) for each in found)


def style_pictures(references: Sequence[dict[str, Any]] | None, subjects: int) -> tuple[Image, ...]:
    """The given pictures of the set's style; see `pictured`."""
    return tuple(decoded(each["image"]) for each in references or () if each["subject"] == subjects)
