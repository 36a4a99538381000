# SPDX-License-Identifier: Apache-2.0
"""Where each subject is to be: boxes, masks or a picture with a colour for each, on any grid.

Shapes: S subjects, H x W pixels, h x w places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]
"""xyxy in [0, 1]."""
_FINE = 512
"""Rows and columns that a box is drawn on."""


class BadLayout(ValueError):
    """A region is empty, outside of the picture, or missing."""


@dataclass(frozen=True)
class Layout:
    """Regions by subject, in the order of the subjects."""

    regions_SHW: Tensor
    """bool."""
    weights: tuple[float, ...]
    """How much more a subject's words are looked at in its region."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            BadLayout: a region is empty, or weights are of another number.
        """
        if len(self.weights) != len(self.regions_SHW):
            raise BadLayout(f"{len(self.weights)} weights are given for {len(self.regions_SHW)} regions")
        for number, region_HW in enumerate(self.regions_SHW):
            if not region_HW.any():
                raise BadLayout(f"the region of subject {number + 1} is empty; make it larger")

    def on(self, grid: tuple[int, int]) -> Tensor:
        """The regions' places, bool (S, h, w): covered by half or more; none is ever empty."""
        share_Shw = F.adaptive_avg_pool2d(self.regions_SHW.float()[:, None], grid)[:, 0]
        inside_Shw = share_Shw >= 0.5
        # A small region is the place that it covers most of.
        most_S11 = share_Shw.amax((1, 2), keepdim=True)
        lost_S11 = ~inside_Shw.any(2, keepdim=True).any(1, keepdim=True)
        return inside_Shw | (lost_S11 & (share_Shw >= most_S11))


def layout_of_boxes(boxes: Sequence[Box], weight: float = 2.5) -> Layout:
    """A box a subject.

    Raises:
        BadLayout: a box is none, or leaves the picture.
    """
    regions_SHW = torch.zeros(len(boxes), _FINE, _FINE, dtype=torch.bool)
    for number, box in enumerate(boxes):
        left, top, right, bottom = box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise BadLayout(f"{box} is no box; give left, top, right, bottom in [0, 1], in this order")
        # At least a line of pixels, however thin.
        columns = slice(int(left * _FINE), max(int(left * _FINE) + 1, round(right * _FINE)))
        rows = slice(int(top * _FINE), max(int(top * _FINE) + 1, round(bottom * _FINE)))
        regions_SHW[number, rows, columns] = True
    return Layout(regions_SHW, (weight,) * len(boxes))


def layout_of_picture(
    picture: Image.Image, colours: Sequence[tuple[int, int, int]], weight: float = 2.5
) -> Layout:
    """A colour a subject; pixels of any other colour are the background.

    Raises:
        BadLayout: a colour is not there.
    """
    image_HWC = torch.from_numpy(np.asarray(picture.convert("RGB")).copy())
    regions = []
    for colour in colours:
        region_HW = (image_HWC == torch.tensor(colour, dtype=torch.uint8)).all(-1)
        if not region_HW.any():
            raise BadLayout(f"the layout has no pixel of {colour}; save it without smoothing, as PNG")
        regions.append(region_HW)
    return Layout(torch.stack(regions), (weight,) * len(regions))


def layout_of_masks(masks: Mapping[int, np.ndarray] | Sequence[np.ndarray], weight: float = 2.5) -> Layout:
    """A bool mask (H, W) a subject, all of one size.

    Raises:
        BadLayout: sizes differ, or a mask is empty.
    """
    some = [
        torch.from_numpy(np.asarray(mask, bool))
        for mask in (masks.values() if isinstance(masks, Mapping) else masks)
    ]
    if len({mask.shape for mask in some}) > 1:
        raise BadLayout("masks of a layout need one size")
    return Layout(torch.stack(some), (weight,) * len(some))
