# SPDX-License-Identifier: Apache-2.0
"""Where subjects go if nobody says: boxes, xyxy in [0, 1] of the picture's sides (spec section 2.7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[float, float, float, float]

_SIDE = 512
"""Of the official code's pictures, whose pixels its numbers are."""


def usual_boxes(count: int) -> list[Box]:
    """For one subject the middle; for two the official places, for more equal columns.

    Raises:
        ValueError: if there is no subject.
    """
    if count < 1:
        raise ValueError(f"{count} subjects have no place")
    if count == 1:
        return [(0.15, 0.15, 0.85, 0.85)]
    if count == 2:
        return [_scaled((50, 100, 200, 400)), _scaled((300, 100, 500, 400))]
    return [(place / count, 0.2, (place + 1) / count, 0.8) for place in range(count)]


def random_box(rng: np.random.Generator) -> Box:
    """For one subject, anywhere: 210 to 280 pixels of 512 wide and high, never beyond the canvas."""
    width, height = (350 * rng.uniform(0.6, 0.8, 2)).astype(int).tolist()
    x, y = rng.integers(10, 201, 2).tolist()
    return _scaled((x, y, x + width, y + height))


def checked(boxes: Sequence[Sequence[float]], count: int) -> list[Box]:
    """Boxes as they are, if there is one for each subject.

    Raises:
        ValueError: naming what is wrong.
    """
    if len(boxes) != count:
        raise ValueError(f"{len(boxes)} boxes for {count} subjects; give one for each")
    for box in boxes:
        if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise ValueError(f"{list(box)} is no box x0, y0, x1, y1 in [0, 1] with x0 < x1 and y0 < y1")
    return [(box[0], box[1], box[2], box[3]) for box in boxes]


def _scaled(pixels: Sequence[int]) -> Box:
    x0, y0, x1, y1 = (min(value, _SIDE) / _SIDE for value in pixels)
    return x0, y0, x1, y1
