# SPDX-License-Identifier: Apache-2.0
"""From pictures to readings: which subjects stand where, and what each of them is like.

Shapes: B pictures, C channels, H = W = 64 pixels, R subjects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor

from models.backends.protocols import MissingWeights
from models.miniature.judge.network import ATTRIBUTES, JudgeNetwork
from models.miniature.world.identity import Identity
from models.miniature.world.vocabulary import BACKGROUNDS

PIXELS = 64
_SMALLEST = 40
"""Pixels below which a patch of some noun is noise."""
_SECONDARY = 0.3
"""A patch of another noun, or of the same, is a subject of its own from this share of the largest one on."""


@dataclass(frozen=True, slots=True)
class SeenSubject:
    """One subject as the judge reads it."""

    identity: Identity
    mask: np.ndarray
    """bool (64, 64)."""
    box: tuple[int, int, int, int]
    """x1, y1, x2, y2 in pixels of the 64, half-open."""
    sure: float
    """Probability of the noun, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A picture as the judge reads it; subjects from the largest to the smallest."""

    background: str
    subjects: tuple[SeenSubject, ...]


class Judge:
    """Reads pictures of any size; they are looked at in 64 x 64."""

    def __init__(self, network: JudgeNetwork) -> None:
        self.network = network.eval()

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load from a folder with `judge.safetensors`.

        Raises:
            MissingWeights: the file is not there.
        """
        path = folder / "judge.safetensors"
        if not path.is_file():
            raise MissingWeights(f"{path} is missing; `subjectforge miniature train judge` makes it")
        network = JudgeNetwork()
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return cls(network)

    @torch.inference_mode()
    def read(self, images: Sequence[Image.Image]) -> list[Reading]:
        """What each picture shows."""
        return self.read_pixels(
            torch.stack([_pixels(image) for image in images]) if images else torch.empty(0, 3, 64, 64)
        )

    @torch.inference_mode()
    def read_pixels(self, image_BCHW: Tensor) -> list[Reading]:
        """The same for float32 pictures (B, 3, 64, 64) in [-1, 1]."""
        if not len(image_BCHW):
            return []
        maps, background_BK = self.network.features(image_BCHW)
        probability_BKHW = self.network.nouns(maps).softmax(1)
        masks = [_regions(nouns_KHW) for nouns_KHW in probability_BKHW.numpy()]
        read = iter(self._subjects(maps, masks))
        names = [[*BACKGROUNDS][place] for place in background_BK.argmax(1).tolist()]
        return [
            Reading(name, tuple(next(read) for _ in found)) for name, found in zip(names, masks, strict=True)
        ]

    def subjects_in(self, image_BCHW: Tensor, masks: list[list[np.ndarray]]) -> list[SeenSubject]:
        """What the given masks mark, picture by picture, in one list."""
        return self._subjects(self.network.features(image_BCHW)[0], masks)

    def _subjects(self, maps: list[Tensor], masks: list[list[np.ndarray]]) -> list[SeenSubject]:
        every = [mask for found in masks for mask in found]
        if not every:
            return []
        owner_R = torch.tensor([place for place, found in enumerate(masks) for _ in found])
        mask_RHW = torch.from_numpy(np.stack(every)).float()
        logits = self.network.attributes(maps, owner_R, mask_RHW)
        sure_R = logits["noun"].softmax(1).amax(1).tolist()
        picked = {name: logits[name].argmax(1).tolist() for name in ATTRIBUTES}
        rows: list[dict[str, Any]] = [
            {name: values[picked[name][row]] for name, values in ATTRIBUTES.items()}
            for row in range(len(every))
        ]
        return [
            SeenSubject(Identity(**row), mask, _box(mask), sure)
            for row, mask, sure in zip(rows, every, sure_R, strict=True)
        ]


def _pixels(image: Image.Image) -> Tensor:
    small = image.convert("RGB").resize((PIXELS, PIXELS), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 127.5 - 1


def _regions(probability_KHW: np.ndarray) -> list[np.ndarray]:
    """Connected patches of foreground, split where two nouns meet, from the largest to the smallest."""
    foreground_HW = probability_KHW[0] < 0.5
    patches_HW = np.asarray(ndimage.label(foreground_HW)[0])  # pyright: ignore[reportIndexIssue]
    patches = [patches_HW == k for k in range(1, int(patches_HW.max()) + 1)]
    regions = [region for patch in patches for region in _split(patch, probability_KHW)]
    regions = sorted((r for r in regions if r.sum() >= _SMALLEST), key=lambda r: -int(r.sum()))
    return [region for region in regions if region.sum() >= _SECONDARY * regions[0].sum()]


def _split(patch_HW: np.ndarray, probability_KHW: np.ndarray) -> list[np.ndarray]:
    """A patch, in two where a second noun holds a good part of it."""
    winner_HW = probability_KHW[1:].argmax(0)
    votes = np.bincount(winner_HW[patch_HW], minlength=len(probability_KHW) - 1)
    first, second = votes.argsort()[::-1][:2]
    if votes[second] < max(_SMALLEST, _SECONDARY * votes[first]):
        return [patch_HW]
    seconds_HW = probability_KHW[1 + second] > probability_KHW[1 + first]
    return [patch_HW & ~seconds_HW, patch_HW & seconds_HW]


def _box(mask_HW: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
