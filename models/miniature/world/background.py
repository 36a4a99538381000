# SPDX-License-Identifier: Apache-2.0
"""Textured backgrounds: an image of sky, ground and small things, never the same twice.

Shapes: H and W are the image's height and width in pixels; colours are 8-bit sRGB.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Rng = np.random.Generator
Colour = tuple[int, int, int]


def paint_background(name: str, size: int, rng: Rng) -> Image.Image:
    """A square RGB picture of the named background.

    Raises:
        KeyError: if there is no background of this name.
    """
    image = _PAINTERS[name](size, rng)
    grain = rng.normal(0, 3, (size, size, 1)) + _clouds(size, rng, cells=8) * 6
    pixels_HWC = np.asarray(image, dtype=np.float32) + grain
    return Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8))


def _clouds(size: int, rng: Rng, cells: int) -> np.ndarray:
    """Smooth noise, about -1 to 1, float32 (H, W, 1)."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))[..., None]


def _bands(size: int, horizon: float, above: Colour, below: Colour) -> Image.Image:
    image = Image.new("RGB", (size, size), above)
    ImageDraw.Draw(image).rectangle((0, round(horizon * size), size, size), fill=below)
    return image


def _dots(image: Image.Image, rng: Rng, count: int, radius: float, top: float, colour: Colour) -> None:
    draw, size = ImageDraw.Draw(image), image.width
    for x, y, r in rng.uniform((0, top, 0.5), (1, 1, 1), (count, 3)):
        extent = max(r * radius, 0.004)
        draw.ellipse(tuple(size * v for v in (x - extent, y - extent, x + extent, y + extent)), fill=colour)


def _snow(size: int, rng: Rng) -> Image.Image:
    image = _bands(size, rng.uniform(0.3, 0.5), (170, 192, 214), (226, 232, 240))
    _dots(image, rng, 40, 0.013, 0.0, (250, 252, 255))
    return image


def _grass(size: int, rng: Rng) -> Image.Image:
    image = _bands(size, rng.uniform(0.25, 0.45), (160, 208, 240), (112, 168, 76))
    draw = ImageDraw.Draw(image)
    for x, y, lean in rng.uniform((0, 0.5, -0.02), (1, 1, 0.02), (70, 3)) * size:
        draw.line((x, y, x + lean, y - 0.05 * size), fill=(76, 128, 48), width=max(1, size // 100))
    return image


def _beach(size: int, rng: Rng) -> Image.Image:
    horizon = rng.uniform(0.18, 0.3)
    image = _bands(size, horizon, (196, 226, 240), (64, 164, 190))
    shore = horizon + rng.uniform(0.12, 0.2)
    ImageDraw.Draw(image).rectangle((0, round(shore * size), size, size), fill=(232, 206, 150))
    _dots(image, rng, 40, 0.008, shore, (204, 174, 116))
    return image


def _kitchen(size: int, rng: Rng) -> Image.Image:
    counter = rng.uniform(0.6, 0.75)
    image = _bands(size, counter, (226, 214, 196), (150, 108, 72))
    draw, step = ImageDraw.Draw(image), size / rng.integers(5, 8)
    for line in np.arange(0, size, step):
        draw.line((line, 0, line, counter * size), fill=(204, 190, 170), width=max(1, size // 90))
        if line < counter * size:
            draw.line((0, line, size, line), fill=(204, 190, 170), width=max(1, size // 90))
    return image


def _night(size: int, rng: Rng) -> Image.Image:
    image = _bands(size, rng.uniform(0.6, 0.8), (22, 26, 60), (34, 40, 46))
    _dots(image, rng, 30, 0.009, 0.0, (236, 232, 190))
    return image


def _street(size: int, rng: Rng) -> Image.Image:
    horizon = rng.uniform(0.5, 0.65)
    image = _bands(size, horizon, (188, 194, 200), (92, 94, 100))
    draw, x = ImageDraw.Draw(image), 0.0
    while x < 1:
        width, height = rng.uniform(0.14, 0.26), rng.uniform(0.15, 0.45)
        shade = int(rng.integers(116, 156))
        draw.rectangle(
            (x * size, (horizon - height) * size, (x + width) * size, horizon * size),
            fill=(shade, shade - 6, shade - 12),
        )
        x += width + 0.02
    for dash in np.arange(rng.uniform(0, 0.1), 1, 0.22):
        y = (horizon + 1) / 2 * size
        draw.rectangle((dash * size, y, (dash + 0.11) * size, y + 0.025 * size), fill=(226, 220, 170))
    return image


_PAINTERS: dict[str, Callable[[int, Rng], Image.Image]] = {
    "beach": _beach,
    "grass": _grass,
    "kitchen": _kitchen,
    "night": _night,
    "snow": _snow,
    "street": _street,
}
