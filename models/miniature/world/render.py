# SPDX-License-Identifier: Apache-2.0
"""A scene as pixels, with the exact visible mask and box of every subject."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from models.miniature.world.background import paint_background
from models.miniature.world.identity import Identity
from models.miniature.world.scene import Scene
from models.miniature.world.sprite import draw_sprite


@dataclass(frozen=True, slots=True)
class RenderedSubject:
    """One subject in the picture."""

    identity: Identity
    mask: np.ndarray
    """bool (H, W): the pixels where this subject is what one sees."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 in pixels, half-open, tight round the mask."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        if not len(rows):
            return 0, 0, 0, 0
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture and what is in it; subjects in the order of their nouns' names."""

    image: Image.Image
    subjects: tuple[RenderedSubject, ...]
    caption: str
    background: str


def render_scene(scene: Scene, size: int = 256) -> Rendered:
    """Draw a scene as a `size` x `size` RGB picture."""
    image = paint_background(scene.background, size, np.random.default_rng(scene.seed))
    masks: list[np.ndarray] = []
    for placement in scene.placements:
        sprite = draw_sprite(
            placement.identity, round(placement.side * size), placement.angle, placement.mirror
        )
        x, y = (round(c * size - extent / 2) for c, extent in zip(placement.centre, sprite.size, strict=True))
        layer = Image.new("RGBA", image.size)
        layer.paste(sprite, (x, y))
        image.paste(layer, (0, 0), layer)
        mask = np.asarray(layer.getchannel("A")) >= 128
        masks = [below & ~mask for below in masks] + [mask]
    image = ImageEnhance.Brightness(image).enhance(scene.brightness)
    identities = [placement.identity for placement in scene.placements]
    subjects = sorted(map(RenderedSubject, identities, masks), key=lambda subject: subject.identity)
    return Rendered(image, tuple(subjects), scene.caption, scene.background)
