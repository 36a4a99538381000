# SPDX-License-Identifier: Apache-2.0
"""Which pictures are worth the work: large enough, not too elongated, not a product shot on white."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import pyarrow as pa
from PIL import ImageChops

from stages.base import Stage, TableFunction
from stages.images import decoded
from stages.rows import Outcome, Reject, Row, table_function

_WHITE = 230  # the first 8-bit value above 0.9 of full scale
_SMALL = 128  # pixels a side that a smaller decode still has


@dataclass(frozen=True, kw_only=True)
class FilterImage(Stage):
    """Reject by original size, by aspect, and by the share of white; a value on a limit passes.

    Rejects with `too_small`, `too_elongated` and `too_white`, in this order. `white_fraction` is measured for
    every picture, so that another limit is a query and not another run.
    """

    inputs: ClassVar[tuple[str, ...]] = ("image", "width", "height", "original_width", "original_height")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("white_fraction", pa.float32())])

    min_side: int = 512
    """Both original sides need at least this many pixels; 0 lets all through."""
    min_any_side: int | None = None
    """One original side at least needs this many pixels. The official builder: 600, with `min_side` 0."""
    max_aspect: float = 3.0
    """Longer over shorter original side, at most."""
    max_white: float = 1.0
    """Share of pixels whose red, green and blue are all above 0.9, at most. The official builder: 0.1."""

    def __post_init__(self) -> None:
        if self.min_side < 0 or (self.min_any_side or 0) < 0:
            raise ValueError("min_side and min_any_side must be at least 0")
        if not self.max_aspect >= 1:
            raise ValueError(f"max_aspect is {self.max_aspect}; it must be at least 1")
        if not 0 <= self.max_white <= 1:
            raise ValueError(f"max_white is {self.max_white}; it must be from 0 to 1")

    def setup(self) -> TableFunction:
        """See `Stage.setup`."""
        return table_function(self, "filter_image", self._rows)

    def _rows(self, rows: list[Row]) -> Sequence[Outcome]:
        return [self._row(row) for row in rows]

    def _row(self, row: Row) -> Outcome:
        white = white_fraction(row["image"])
        why = self._why_not(row["original_width"], row["original_height"], white)
        measured = {"white_fraction": white}
        return Reject(*why, measured) if why else measured

    def _why_not(self, width: int, height: int, white: float) -> tuple[str, str] | None:
        shorter, longer = sorted((width, height))
        if shorter < self.min_side:
            return "too_small", f"{width}x{height}, both sides need {self.min_side}"
        if self.min_any_side is not None and longer < self.min_any_side:
            return "too_small", f"{width}x{height}, one side needs {self.min_any_side}"
        if longer > self.max_aspect * shorter:
            return (
                "too_elongated",
                f"{width}x{height} is {longer / shorter:.2f} to 1, {self.max_aspect:g} at most",
            )
        if white > self.max_white:
            return "too_white", f"{white:.3f} of it is white, {self.max_white:g} at most"
        return None


def white_fraction(jpeg: bytes) -> float:
    """Share of pixels, 0 to 1, whose red, green and blue all exceed 0.9 of full scale.

    Measured on the smallest decode that JPEG offers with both sides still at least 128 pixels.
    """
    image = decoded(jpeg, _SMALL)
    darkest = reduce(ImageChops.darker, image.split())
    return sum(darkest.histogram()[_WHITE:]) / (image.width * image.height)
