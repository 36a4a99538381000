# SPDX-License-Identifier: Apache-2.0
"""One square crop for picture, boxes and masks, so that they stay aligned (spec section 1.5).

Shapes: H rows and W columns of the stored picture, S x S pixels of the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.train.selection import Box


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of a picture, and how large it becomes."""

    left: int
    top: int
    side: int
    """Pixels of the stored picture."""
    size: int
    """Pixels of the result."""

    def of_image(self, image: Image.Image) -> Image.Image:
        """The crop of a picture, resized with antialiasing."""
        box = (self.left, self.top, self.left + self.side, self.top + self.side)
        return image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box, reducing_gap=None)

    def of_mask(self, mask_HW: np.ndarray) -> np.ndarray:
        """The crop of a mask, bool (S, S): the value at each new pixel's middle."""
        middles = (np.arange(self.size) + 0.5) * self.side / self.size
        places = middles.astype(np.int64).clip(max=self.side - 1)
        return mask_HW[self.top : self.top + self.side, self.left : self.left + self.side][places][:, places]

    def of_box(self, box: Box) -> Box:
        """A box in pixels of the result, as far as it lies inside."""
        scale = self.size / self.side
        moved = (box[0] - self.left, box[1] - self.top, box[2] - self.left, box[3] - self.top)
        x0, y0, x1, y1 = (min(max(value * scale, 0.0), float(self.size)) for value in moved)
        return x0, y0, x1, y1


def square_crop(width: int, height: int, boxes: Sequence[Box], size: int, rng: np.random.Generator) -> Crop:
    """The largest square that has all boxes in it, anywhere where it has; the middle if there is none.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        boxes: all of the sample's, not only the chosen ones.
        size: of the result in pixels.
        rng: says where.
    """
    side = min(width, height)
    left = _start(width, side, [(box[0], box[2]) for box in boxes], rng)
    top = _start(height, side, [(box[1], box[3]) for box in boxes], rng)
    if left is None or top is None:
        left, top = (width - side) // 2, (height - side) // 2
    return Crop(left, top, side, size)


def _start(
    length: int, side: int, spans: Sequence[tuple[float, float]], rng: np.random.Generator
) -> int | None:
    """Where along one direction a square may begin, drawn; None if no square holds all spans."""
    first = max([0, *(int(np.ceil(end)) - side for _, end in spans)])
    last = min([length - side, *(int(np.floor(begin)) for begin, _ in spans)])
    return None if first > last else int(rng.integers(first, last + 1))
