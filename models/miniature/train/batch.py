# SPDX-License-Identifier: Apache-2.0
"""Training batches: a pure function of (seed, step), so that a resumed run sees what it would have seen.

Shapes: B scenes, C = 3 channels, H = W pixels, S = 3 places for subjects, G x G grid cells.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.miniature.train.scenes import SceneArrays


@dataclass(frozen=True, slots=True)
class Batch:
    """Augmented scenes; boxes are xyxy in [0, 1] of the picture."""

    image_BCHW: Tensor
    """float32 in [0, 1]."""
    instance_BHW: Tensor
    """int64: 0 background, k subject k - 1."""
    count_B: Tensor
    noun_BS: Tensor
    colour_BS: Tensor
    box_BS4: Tensor
    background_B: Tensor
    caption_B: list[str]


def training_batch(scenes: SceneArrays, size: int, seed: int, step: int) -> Batch:
    """Batch number `step`: random scenes, mirrored half of the time, brighter or darker, with blur."""
    rng = np.random.default_rng((seed, step))
    rows = rng.integers(0, len(scenes), size)
    batch = scene_batch(scenes, rows)
    flip_B = torch.from_numpy(rng.random(size) < 0.5)
    gain_B = torch.from_numpy(rng.uniform(0.9, 1.1, size).astype(np.float32))
    image = torch.where(flip_B[:, None, None, None], batch.image_BCHW.flip(-1), batch.image_BCHW)
    box = batch.box_BS4
    mirrored = torch.stack([1 - box[..., 2], box[..., 1], 1 - box[..., 0], box[..., 3]], dim=-1)
    return Batch(
        image_BCHW=(image * gain_B[:, None, None, None]).clamp(0, 1),
        instance_BHW=torch.where(flip_B[:, None, None], batch.instance_BHW.flip(-1), batch.instance_BHW),
        count_B=batch.count_B,
        noun_BS=batch.noun_BS,
        colour_BS=batch.colour_BS,
        box_BS4=torch.where(flip_B[:, None, None], mirrored, box),
        background_B=batch.background_B,
        caption_B=batch.caption_B,
    )


def scene_batch(scenes: SceneArrays, rows: np.ndarray) -> Batch:
    """The given scenes as they are."""

    def integers(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array[rows].astype(np.int64))

    return Batch(
        image_BCHW=torch.from_numpy(scenes.image_NHWC[rows]).permute(0, 3, 1, 2).float() / 255,
        instance_BHW=integers(scenes.instance_NHW),
        count_B=integers(scenes.count_N),
        noun_BS=integers(scenes.noun_NS),
        colour_BS=integers(scenes.colour_NS),
        box_BS4=torch.from_numpy(scenes.box_NS4[rows] / scenes.image_NHWC.shape[1]),
        background_B=integers(scenes.background_N),
        caption_B=[scenes.caption_N[row] for row in rows],
    )


def resized(image_BCHW: Tensor, side: int) -> Tensor:
    """The pictures at another size, as the image processors' antialiased bilinear does it."""
    if image_BCHW.shape[-1] == side:
        return image_BCHW
    return F.interpolate(image_BCHW, (side, side), mode="bilinear", antialias=True, align_corners=False)


def cell_labels(batch: Batch, grid: int) -> tuple[Tensor, Tensor]:
    """For every cell of a grid the noun and the body colour of what covers most of it.

    Returns:
        int64 (B, G, G) twice; 0 is background, k the noun or colour k - 1; -100 where the
        winner covers less than 60 % of the cell, to be left out of a loss.
    """
    one_hot = F.one_hot(batch.instance_BHW, 4).permute(0, 3, 1, 2).float()
    share, winner = F.adaptive_avg_pool2d(one_hot, grid).max(dim=1)

    def of_winner(value_BS: Tensor) -> Tensor:
        with_background = F.pad(value_BS + 1, (1, 0))
        label = with_background.gather(1, winner.flatten(1)).view_as(winner)
        return label.masked_fill(share < 0.6, -100)

    return of_winner(batch.noun_BS), of_winner(batch.colour_BS)
