# SPDX-License-Identifier: Apache-2.0
"""What the miniature DINO is shown: crops of scenes and of subjects cut out of them, in colours a bit off.

The distortions are those of Caron et al. 2021 (section 3.2, after BYOL): crops, mirroring, colours.

Shapes: B pictures, C = 3 channels, H = W pixels.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.miniature.train.clip_batch import before_grey, picture, pixel_values
from models.miniature.train.feed import Tensors
from models.miniature.train.layouts import PIXELS, Layout

LOCAL, LOCAL_PIXELS = 2, 40
_CUT_OUTS = 0.75
"""Share of pictures that are one subject, before nothing."""
_GREY = 0.2
"""Share of views without colour."""
_LUMA = torch.tensor([0.299, 0.587, 0.114])


def draw(layouts: list[Layout], size: int, step: int) -> Tensors:
    """Batch number `step`, a pure function of its arguments.

    Returns:
        `view 0` and `view 1` of the whole size, and `LOCAL` small ones: float32 (B, C, H, W) in [-1, 1].
    """
    rng = np.random.default_rng((19, step))
    chosen = []
    for _ in range(size):
        layout = layouts[rng.integers(len(layouts))]
        row = int(layout.rows[rng.integers(len(layout.rows))])
        cut = bool(rng.random() < _CUT_OUTS)
        chosen.append((picture(layout, row, cut, rng), cut))
    pictures, cut = [each for each, _ in chosen], torch.tensor([cut for _, cut in chosen])
    image_BCHW = torch.where(cut[:, None, None, None], before_grey(pictures), pixel_values(pictures))
    large = [_view(image_BCHW, rng, PIXELS, 0.5, 1.0) for _ in range(2)]
    small = [_view(image_BCHW, rng, LOCAL_PIXELS, 0.25, 0.5) for _ in range(LOCAL)]
    return {f"view {place}": view for place, view in enumerate(large + small)}


def _view(image_BCHW: Tensor, rng: np.random.Generator, side: int, least: float, most: float) -> Tensor:
    return recoloured(_crop(image_BCHW, rng, side, least, most), rng)


def _crop(image_BCHW: Tensor, rng: np.random.Generator, side: int, least: float, most: float) -> Tensor:
    """A random square of each picture with a share of its area, mirrored half of the time, at a new size."""
    count = len(image_BCHW)
    scale_B = np.sqrt(rng.uniform(least, most, count))
    shift_B2 = rng.uniform(-1, 1, (count, 2)) * (1 - scale_B)[:, None]
    mirror_B = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale_B * mirror_B, scale_B, shift_B2
    grid = F.affine_grid(torch.from_numpy(theta), [count, 3, side, side], align_corners=False)
    return F.grid_sample(image_BCHW, grid, align_corners=False, padding_mode="reflection")


def recoloured(image_BCHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue of each picture changed at random, some made grey.

    Args:
        image_BCHW: in [-1, 1].
        rng: decides how much.
    """
    count = len(image_BCHW)
    saturation_B = np.where(rng.random(count) < _GREY, 0.0, rng.uniform(0.6, 1.4, count))
    colour_BCC = _hue(rng.uniform(-0.05, 0.05, count)) * torch.from_numpy(saturation_B).float()[:, None, None]
    luma_CC = _LUMA.expand(3, 3)
    # What is grey stays as it is; what differs from it is turned and stretched.
    matrix_BCC = colour_BCC @ (torch.eye(3) - luma_CC) + luma_CC
    gain_B, shift_B = (
        torch.from_numpy(rng.uniform(*span, count)).float() for span in ((0.7, 1.3), (-0.2, 0.2))
    )
    mixed = torch.einsum("bij,bjhw->bihw", matrix_BCC, image_BCHW)
    return (mixed * gain_B[:, None, None, None] + shift_B[:, None, None, None]).clamp(-1, 1)


def _hue(turn_B: np.ndarray) -> Tensor:
    """Rotations about the grey axis by parts of a full turn, float32 (B, 3, 3)."""
    angle_B = torch.from_numpy(2 * np.pi * turn_B).float()[:, None, None]
    axis = torch.full((3,), 3**-0.5)
    cross = torch.linalg.cross(torch.eye(3), axis.expand(3, 3))
    return (
        torch.eye(3) * angle_B.cos() + cross * angle_B.sin() + torch.outer(axis, axis) * (1 - angle_B.cos())
    )
