# SPDX-License-Identifier: Apache-2.0
"""Layout diversity (ConsiStory, appendix C): how far apart a subject's points are in two pictures.

The paper finds these points by features of the UNet; here it is by those of a DINO, which every picture has,
whatever drew it.

Shapes: P patches of a picture, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from models.metrics.dino import Dino
from models.metrics.encoder import Embedder
from models.metrics.image_set import ImageSet, Measure, Scores

if TYPE_CHECKING:
    from torch import Tensor

_STILL = 0.0
"""The displacement that stands for a subject which is not there."""


@dataclass(frozen=True, kw_only=True)
class Layout(Dino):
    """Mean displacement of a subject's points in pairs of a set, in sides of the picture: 0 is no change."""

    name: ClassVar[str] = "layout"

    def load(self) -> Measure:
        """The metric with its weights.

        Raises:
            MissingWeights: they cannot be had.
            MissingDevice: there is no such GPU here.
        """
        return _Loaded(self.embedder())

    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """All patches (N, P, D)."""
        return model(pixel_values=pixels).last_hidden_state[:, 1:]


class _Loaded:
    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def __call__(self, images: ImageSet) -> list[Scores]:
        patches = self._embedder([each.image for each in images.pictures])
        if len(patches) < 2:
            return [{} for _ in patches]
        rows = []
        for place in range(len(patches)):
            others = [other for other in range(len(patches)) if other != place]
            moved = [_moved(images, patches, place, other) for other in others]
            rows.append({"layout_pairs": float(np.mean(moved))})
        return rows


def _moved(images: ImageSet, patches: Sequence[Tensor], one: int, other: int) -> float:
    """From a picture to another, the mean over their subjects."""
    found = []
    pair = images.pictures[one].masks, images.pictures[other].masks
    for mask, its_mask in zip(*pair, strict=True):
        if mask is None or its_mask is None or not mask.any() or not its_mask.any():
            found.append(_STILL)
        else:
            found.append(displacement(patches[one], patches[other], mask, its_mask))
    return float(np.mean(found))


def displacement(one_PD: Tensor, other_PD: Tensor, mask_HW: np.ndarray, its_mask_HW: np.ndarray) -> float:
    """Mean distance between a subject's patches and those of the other that are most like them.

    Args:
        one_PD: unit features of a square grid of patches.
        other_PD: of the other picture.
        mask_HW: the subject, bool.
        its_mask_HW: in the other picture.

    Returns:
        In sides of the picture, in [0, sqrt(2)].
    """
    grid = round(len(one_PD) ** 0.5)
    ours, theirs = patches_of(mask_HW, grid), patches_of(its_mask_HW, grid)
    nearest = theirs[(one_PD[ours] @ other_PD[theirs].T).argmax(1).numpy()]
    steps_P2 = (np.stack(np.divmod(ours, grid)) - np.stack(np.divmod(nearest, grid))).T / grid
    return float(np.linalg.norm(steps_P2, axis=1).mean())


def patches_of(mask_HW: np.ndarray, grid: int) -> np.ndarray:
    """Places of the patches of which a mask covers half or more; of a small one, of that it covers most."""
    share = np.asarray(Image.fromarray(mask_HW.astype(np.float32)).resize((grid, grid), Image.Resampling.BOX))
    return np.flatnonzero(share.reshape(-1) >= min(0.5, float(share.max())))
