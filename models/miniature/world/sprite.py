# SPDX-License-Identifier: Apache-2.0
"""One subject drawn alone, with transparency: its parts, its pattern, a dark outline."""

import numpy as np
from PIL import Image, ImageDraw

from models.miniature.world.identity import Identity
from models.miniature.world.shapes import SHAPES, Part, Role
from models.miniature.world.vocabulary import BUILDS, COLOURS

_DARK, _LIGHT = (38, 34, 40), (240, 242, 246)
_SUPERSAMPLE = 3
_OUTLINE = 0.035
"""Width of the outline in the unit of the shapes."""


def draw_sprite(identity: Identity, side: int, angle: float = 0.0, mirror: bool = False) -> Image.Image:
    """The subject as an RGBA picture cut to what is visible of it.

    Args:
        identity: who it is.
        side: pixels from -1 to 1 of the shape's square.
        angle: clockwise tilt in degrees.
        mirror: whether it looks the other way.
    """
    transform = _transform(identity, angle, mirror)
    parts = [Part(part.role, part.points @ transform.T) for part in SHAPES[identity.noun](identity.trait)]
    canvas = _Canvas(parts, side * _SUPERSAMPLE)
    for part in parts:
        canvas.outline(part)
    for part in parts:
        canvas.fill(part, identity, np.linalg.inv(transform))
    return canvas.shrunk(_SUPERSAMPLE)


def _transform(identity: Identity, angle: float, mirror: bool) -> np.ndarray:
    """The 2 x 2 matrix from the noun's square to the picture's, unit for unit."""
    stretch = np.diag(BUILDS[identity.build]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[c, -s], [s, c]]) @ stretch


class _Canvas:
    """A transparent picture just large enough for the given parts."""

    def __init__(self, parts: list[Part], side: int) -> None:
        points = np.concatenate([part.points for part in parts])
        self._scale = side / 2
        self._low = points.min(axis=0) - _OUTLINE
        size = np.ceil((points.max(axis=0) + _OUTLINE - self._low) * self._scale / _SUPERSAMPLE)
        width, height = (size * _SUPERSAMPLE).astype(int)
        self._image = Image.new("RGBA", (width, height))
        self._draw = ImageDraw.Draw(self._image)

    def _pixels(self, part: Part) -> list[tuple[float, float]]:
        return [(x, y) for x, y in (part.points - self._low) * self._scale]

    def outline(self, part: Part) -> None:
        corners = self._pixels(part)
        width = round(2 * _OUTLINE * self._scale)
        self._draw.line([*corners, *corners[:2]], fill=(*_DARK, 255), width=width, joint="curve")

    def fill(self, part: Part, identity: Identity, to_shape: np.ndarray) -> None:
        if part.role != "body" or identity.pattern == "plain":
            self._draw.polygon(self._pixels(part), fill=(*_paint(part.role, identity), 255))
            return
        stencil = Image.new("L", self._image.size)
        ImageDraw.Draw(stencil).polygon(self._pixels(part), fill=255)
        left, top, right, bottom = stencil.getbbox() or (0, 0, 1, 1)
        xs, ys = np.meshgrid(np.arange(left, right), np.arange(top, bottom))
        points_HW2 = (np.stack([xs, ys], axis=-1) / self._scale + self._low) @ to_shape.T
        marked_HW = _pattern(identity.pattern, points_HW2)
        base = np.array(COLOURS[identity.body])
        paint_HWC = np.where(marked_HW[..., None], base * 0.45, base).astype(np.uint8)
        self._image.paste(Image.fromarray(paint_HWC), (left, top), stencil.crop((left, top, right, bottom)))

    def shrunk(self, factor: int) -> Image.Image:
        image = self._image.convert("RGBa").reduce(factor).convert("RGBA")
        return image.crop(image.getbbox() or (0, 0, 1, 1))


def _paint(role: Role, identity: Identity) -> tuple[int, int, int]:
    own = {"body": identity.body, "accent": identity.accent}
    return COLOURS[own[role]] if role in own else {"dark": _DARK, "light": _LIGHT}[role]


def _pattern(name: str, points_HW2: np.ndarray) -> np.ndarray:
    """Which points of the shape's square are marked, bool (H, W)."""
    x_HW, y_HW = points_HW2[..., 0], points_HW2[..., 1]
    if name == "striped":
        return np.mod((x_HW + 0.6 * y_HW) / 0.36, 1) < 0.42
    row_HW = np.floor(y_HW / 0.32)
    u_HW = np.mod(x_HW / 0.36 + 0.5 * np.mod(row_HW, 2), 1) - 0.5
    v_HW = np.mod(y_HW / 0.32, 1) - 0.5
    return (u_HW * 0.36) ** 2 + (v_HW * 0.32) ** 2 < 0.105**2
