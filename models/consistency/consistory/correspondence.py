# SPDX-License-Identifier: Apache-2.0
"""Which patch of which picture a subject's patch corresponds to, by features of the UNet (section 4.3).

Shapes: B pictures, C channels, h x w = P places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.consistency.consistory.sharing import Sources
from models.consistency.otsu import otsu

_APART = 2.0
"""The largest distance; that of patches outside of a source's subject."""


class Matches(NamedTuple):
    """For each place of each picture its nearest patch in others."""

    picture_BP: Tensor
    """int64."""
    place_BP: Tensor
    """int64."""
    injected_BP: Tensor
    """bool: near enough, and of the subject."""
    distance_BP: Tensor
    """1 less the cosine, float32; 2 where there is nothing to compare with."""


def smoothed(features_BCHW: Tensor, sigma: float) -> Tensor:
    """Features through a 3 x 3 Gaussian, zeros around; float32."""
    if sigma <= 0:
        return features_BCHW.float()
    line_3 = torch.exp(-(torch.tensor([-1.0, 0.0, 1.0], device=features_BCHW.device) ** 2) / (2 * sigma**2))
    line_3 = line_3 / line_3.sum()
    channels = features_BCHW.shape[1]
    kernel_C133 = (line_3[:, None] * line_3).expand(channels, 1, 3, 3)
    return F.conv2d(features_BCHW.float(), kernel_C133, padding=1, groups=channels)


def matches(
    features_BCHW: Tensor, masks_BP: Tensor, sources: Sources, grid: tuple[int, int], chunk: int = 4096
) -> Matches:
    """The nearest patch within the subjects of a picture's sources (equation 5).

    Args:
        features_BCHW: smoothed, on any grid.
        masks_BP: the subjects, bool.
        sources: of each picture.
        grid: of the places.
        chunk: places that are compared at once; for memory alone.
    """
    resized = F.interpolate(features_BCHW.float(), grid, mode="bilinear", align_corners=False)
    unit_BPC = F.normalize(resized.flatten(2).transpose(1, 2), dim=2)
    rows = [_of_picture(unit_BPC, masks_BP, picture, seen, chunk) for picture, seen in enumerate(sources)]
    return Matches(*(torch.stack(each) for each in zip(*rows, strict=True)))


def _of_picture(
    unit_BPC: Tensor, masks_BP: Tensor, picture: int, sources: Sequence[int], chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    places = unit_BPC.shape[1]
    nothing = torch.zeros(places, dtype=torch.int64, device=unit_BPC.device)
    if not sources:
        far = torch.full((places,), _APART, device=unit_BPC.device)
        return nothing + picture, nothing, nothing.bool(), far
    found = [_nearest(unit_BPC[picture], unit_BPC[j], masks_BP[j], chunk) for j in sources]
    # Of equally near ones the first source's.
    distance_P, which_P = torch.stack([distance for distance, _ in found]).min(0)
    place_P = torch.stack([place for _, place in found]).gather(0, which_P[None])[0]
    near_P = distance_P.double() < otsu(distance_P[None])
    picture_P = torch.tensor(sources, device=unit_BPC.device)[which_P]
    return picture_P, place_P, near_P & masks_BP[picture], distance_P


def _nearest(target_PC: Tensor, source_PC: Tensor, mask_P: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    pieces = []
    for some_PC in target_PC.split(chunk):
        distance_PP = (1 - some_PC @ source_PC.T).clamp(0, _APART).masked_fill(~mask_P, _APART)
        pieces.append(distance_PP.min(1))
    return torch.cat([piece.values for piece in pieces]), torch.cat([piece.indices for piece in pieces])
