# SPDX-License-Identifier: Apache-2.0
"""Pictures of every mode as 8-bit RGB, the way that a person would see them on white paper."""

from typing import Any

import numpy as np
from PIL import Image, ImageCms

from stages.decode import BadImageError


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB with 8 bits.

    Transparency is laid on white. More than 8 bits are scaled, never clipped: 16-bit values by their full
    range; 32-bit integers and floats by the smallest usual range that holds them (1 for floats, 255,
    65535), or else by their own; values that are not finite become black.

    Raises:
        BadImageError: `undecodable`, for a mode without a way to RGB or a palette that is missing.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode[0] == "I" or image.mode == "F":
        return Image.fromarray(_levels(np.asarray(image), image.mode)).convert("RGB")
    try:
        if image.mode == "LAB":
            return _from_lab(image)
        return _on_white(image) if image.has_transparency_data else image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # a mode without a way to RGB, a palette that is not there
        raise BadImageError("undecodable", f"mode {image.mode}: {error or type(error).__name__}") from error


def _levels(values: np.ndarray[Any, Any], mode: str) -> np.ndarray[Any, Any]:
    values = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, top = min(float(values.min()), 0.0), float(values.max())
    usual = (
        (65535.0,) if mode.startswith("I;16") else (255.0, 65535.0) if mode == "I" else (1.0, 255.0, 65535.0)
    )
    high = next((bound for bound in usual if top <= bound), top)
    scale = 255.0 / (high - low)  # of Python's doubles: a difference of two floats may be no float any more
    return np.rint(values * scale - low * scale).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    picture = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, picture).convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None
    return converted
