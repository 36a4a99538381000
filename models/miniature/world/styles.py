# SPDX-License-Identifier: Apache-2.0
"""Styles: tones that a whole picture is painted in, and that can be taken off again to read what is in it.

Shapes: H, W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

_NEAR = 10
"""Grey levels outside of a tone that autoencoders may make of it."""


@dataclass(frozen=True, slots=True)
class Style:
    """Each channel in a range of its own."""

    name: str
    darkest: tuple[int, int, int]
    """What black becomes, of 255."""
    lightest: tuple[int, int, int]
    """What white becomes."""

    def painted(self, image: Image.Image) -> Image.Image:
        """A picture, RGB, in this style."""
        low, high = (np.array(each, np.float32) for each in (self.darkest, self.lightest))
        return _picture(low + np.asarray(image, np.float32) / 255 * (high - low))

    def undone(self, image: Image.Image) -> Image.Image:
        """What `painted` was given, up to rounding."""
        low, high = (np.array(each, np.float32) for each in (self.darkest, self.lightest))
        return _picture((np.asarray(image, np.float32) - low) / (high - low) * 255)

    def shown(self, image: Image.Image) -> float:
        """The share of a picture's pixels that may be of this style, in [0, 1]."""
        pixels_HW3 = np.asarray(image, np.int32)
        above = pixels_HW3 >= np.array(self.darkest) - _NEAR
        return float((above & (pixels_HW3 <= np.array(self.lightest) + _NEAR)).all(-1).mean())


def _picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


STYLES = {
    style.name: style
    for style in (
        Style("sunset", (96, 32, 0), (255, 190, 110)),
        Style("moonlight", (0, 24, 84), (110, 160, 255)),
    )
}
