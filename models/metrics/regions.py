# SPDX-License-Identifier: Apache-2.0
"""The part of a picture that is compared: all of it, a subject cut out of it, or what is around the subjects.

Shapes: H, W pixels.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

Region = Literal["whole", "subject", "background"]
Ground = Literal["white", "grey", "black"]
COLOURS: dict[Ground, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "black": (0, 0, 0),
}


def cut_out(image: Image.Image, mask_HW: np.ndarray | None, ground: Ground) -> Image.Image | None:
    """What a mask marks, before a plain ground, in the middle of the smallest square that holds it.

    Args:
        image: RGB.
        mask_HW: bool; None where nothing was found.
        ground: of what is not marked.

    Returns:
        The square, or None if nothing is marked.
    """
    if mask_HW is None or not mask_HW.any():
        return None
    box = Image.fromarray(mask_HW).getbbox()
    assert box is not None
    plain = _covered(image, ~mask_HW, ground).crop(box)
    side = max(plain.size)
    return ImageOps.pad(plain, (side, side), color=COLOURS[ground])


def without(image: Image.Image, masks: Sequence[np.ndarray | None], ground: Ground) -> Image.Image:
    """The picture with all that is marked covered by a plain ground."""
    found = [mask for mask in masks if mask is not None]
    return _covered(image, np.logical_or.reduce(found), ground) if found else image


def _covered(image: Image.Image, hidden_HW: np.ndarray, ground: Ground) -> Image.Image:
    """Where a mask is of other sizes than its picture, it is not of that picture."""
    pixels = np.array(image.convert("RGB"))
    if hidden_HW.shape != pixels.shape[:2]:
        raise ValueError(f"a mask of {hidden_HW.shape} for a picture of {pixels.shape[:2]} pixels")
    pixels[hidden_HW] = COLOURS[ground]
    return Image.fromarray(pixels)
