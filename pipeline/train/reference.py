# SPDX-License-Identifier: Apache-2.0
"""A subject cut out of its picture, as the model is shown it (spec section 1.5).

Shapes: H rows and W columns of pixels.
"""

import numpy as np
from PIL import Image

from pipeline.train.selection import Box

WHITE = (255, 255, 255)
_DEGREES = 10.0
_DISTORTION = 0.5
"""How far a corner may move, over half of the side."""


def cut_out(image: Image.Image, mask_HW: np.ndarray, box: Box) -> Image.Image:
    """The subject in a square as large as the longer side of its box; RGBA, white where it is not opaque.

    Raises:
        ValueError: nothing of the mask lies in the box.
    """
    x0, y0 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    x1, y1 = min(image.width, int(np.ceil(box[2]))), min(image.height, int(np.ceil(box[3])))
    shown_HW = mask_HW[y0:y1, x0:x1]
    if not shown_HW.any():
        raise ValueError("nothing of the subject lies in its box")
    pixels_HWC = np.where(shown_HW[..., None], np.asarray(image)[y0:y1, x0:x1], np.uint8(255))
    side = max(x1 - x0, y1 - y0)
    square = Image.new("RGBA", (side, side), (*WHITE, 0))
    shown = Image.fromarray(np.dstack([pixels_HWC, shown_HW.astype(np.uint8) * 255]))
    square.paste(shown, ((side - (x1 - x0)) // 2, (side - (y1 - y0)) // 2))
    return square


def augmented(square: Image.Image, pixels: int, rng: np.random.Generator) -> Image.Image:
    """Perhaps mirrored, turned by up to 10 degrees, perhaps seen at an angle, with white at the sides.

    Args:
        square: RGB.
        pixels: side of the result.
        rng: says how.
    """
    flip, degrees, tilt = rng.random() < 0.5, rng.uniform(-_DEGREES, _DEGREES), rng.random() < 0.5
    moves_42 = rng.uniform(0, _DISTORTION / 2, (4, 2)) * pixels
    image = square.resize((pixels, pixels), Image.Resampling.BICUBIC)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=WHITE)
    if tilt:
        corners_42 = np.array([[0, 0], [pixels, 0], [pixels, pixels], [0, pixels]], float)
        inwards_42 = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        matrix = _perspective(corners_42 + inwards_42 * moves_42, corners_42)
        image = image.transform(
            image.size, Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BICUBIC, fillcolor=WHITE
        )
    return image


def upon(square: Image.Image, background: Image.Image, pixels: int, rng: np.random.Generator) -> Image.Image:
    """The subject upon another picture, at half of its area, anywhere; for backgrounds that are not white.

    Args:
        square: of `cut_out`.
        background: any picture.
        pixels: side of the result.
        rng: says where.
    """
    side = round(pixels * 0.5**0.5)
    small = square.resize((side, side), Image.Resampling.BICUBIC)
    short = min(background.size)
    left, top = (background.width - short) // 2, (background.height - short) // 2
    result = background.convert("RGB").resize(
        (pixels, pixels), Image.Resampling.BICUBIC, (left, top, left + short, top + short)
    )
    x, y = (int(rng.integers(0, pixels - side + 1)) for _ in range(2))
    result.paste(small, (x, y), small)
    return result


def _perspective(seen_42: np.ndarray, original_42: np.ndarray) -> list[float]:
    """Pillow's eight numbers, which take a point of the result to one of the original."""
    rows, values = [], []
    for (x, y), (u, v) in zip(seen_42, original_42, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values)).tolist()
