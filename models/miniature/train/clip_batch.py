# SPDX-License-Identifier: Apache-2.0
"""Pictures with prompts for contrastive training: whole scenes, and crops round single subjects.

Shapes: B pictures, C = 3 channels, H = W = 64 pixels, G x G patches.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.miniature.train.layouts import PIXELS, Layout
from models.miniature.world.identity import Identity
from models.miniature.world.prompt import Prompt, prompt_about
from models.miniature.world.split import held_out_prompt
from models.miniature.world.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS

_CROPS = 0.5
"""Share of pictures that are cut round one subject."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture and what is true of it."""

    pixels_HWC: np.ndarray
    """uint8, 64 x 64."""
    instance_HW: np.ndarray
    """uint8: 0 background, k subject k - 1."""
    identities: tuple[Identity, ...]
    background: str
    prompt: Prompt


def picture(layout: Layout, row: int, crop: bool, rng: np.random.Generator) -> Picture:
    """A scene, mirrored half of the time, or a crop of it round one subject, with a prompt that fits."""
    arrays, identities = layout.scenes, tuple(layout.identities(row))
    pixels, instance = arrays.image_NHWC[row], arrays.instance_NHW[row]
    background = list(BACKGROUNDS)[arrays.background_N[row]]
    if crop:
        place = int(rng.integers(len(identities)))
        window = _window(arrays.box_NS4[row, place], rng)
        pixels, instance = _cut(pixels, window, "bilinear"), _cut(instance, window, "nearest-exact")
        instance, identities = (instance == place + 1).astype(np.uint8), identities[place : place + 1]
        prompt = _crop_prompt(identities, rng)
    else:
        prompt = layout.prompt(row, rng)
    if rng.random() < 0.5:
        pixels, instance = pixels[:, ::-1], instance[:, ::-1]
    return Picture(pixels, instance, identities, background, prompt)


def _crop_prompt(identities: tuple[Identity, ...], rng: np.random.Generator) -> Prompt:
    while True:
        about = prompt_about(identities, "", False, rng)
        prompt = Prompt(about.mentions)
        if not held_out_prompt(prompt):
            return prompt


def _window(box: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A square round a box with some air, inside the picture: x1, y1, x2, y2."""
    side = min(PIXELS, float(max(box[2] - box[0], box[3] - box[1])) * rng.uniform(1.05, 1.4))
    low = [
        float(np.clip((box[i] + box[i + 2]) / 2 - side / 2 + rng.uniform(-1, 1), 0, PIXELS - side))
        for i in (0, 1)
    ]
    x, y, side = round(low[0]), round(low[1]), max(8, round(side))
    return x, y, min(PIXELS, x + side), min(PIXELS, y + side)


def _cut(array: np.ndarray, window: tuple[int, int, int, int], mode: str) -> np.ndarray:
    """A window of a picture (H, W) or (H, W, C), at the picture's own size."""
    x1, y1, x2, y2 = window
    planes = torch.from_numpy(np.atleast_3d(array)[y1:y2, x1:x2].copy()).permute(2, 0, 1)[None].float()
    resized = F.interpolate(planes, (PIXELS, PIXELS), mode=mode, antialias=mode == "bilinear")
    return resized[0].round().byte().permute(1, 2, 0).numpy().reshape(PIXELS, PIXELS, *array.shape[2:])


def pictures(layouts: list[Layout], size: int, seed: int, step: int) -> list[Picture]:
    """Batch number `step`, a pure function of seed and step."""
    rng = np.random.default_rng((seed, step))
    found = []
    for _ in range(size):
        layout = layouts[rng.integers(len(layouts))]
        row = int(layout.rows[rng.integers(len(layout.rows))])
        found.append(picture(layout, row, bool(rng.random() < _CROPS), rng))
    return found


def pixel_values(batch: list[Picture]) -> Tensor:
    """float32 (B, C, H, W) in [-1, 1]."""
    pixels = np.stack([picture.pixels_HWC for picture in batch])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def before_grey(batch: list[Picture]) -> Tensor:
    """The same with mid-grey for all that is no subject."""
    subject_BHW = torch.from_numpy(np.stack([picture.instance_HW for picture in batch])) > 0
    return pixel_values(batch) * subject_BHW[:, None]


def fitting(batch: list[Picture]) -> Tensor:
    """Which prompt (row) is true of which picture (column), bool (B, B)."""
    return torch.tensor(
        [
            [
                each.prompt.background in (None, other.background)
                and all(any(m.fits(i) for i in other.identities) for m in each.prompt.mentions)
                for other in batch
            ]
            for each in batch
        ]
    )


def patch_labels(batch: list[Picture], grid: int) -> dict[str, Tensor]:
    """For every patch what covers most of it: `noun`, `body` and `pattern`, int64 (B, G, G).

    0 is background, k the value k - 1; -100 where less than 60 % agree, to be left out of a loss.
    """
    instance_BHW = torch.from_numpy(np.stack([picture.instance_HW for picture in batch])).long()
    share, winner = F.adaptive_avg_pool2d(F.one_hot(instance_BHW, 3).permute(0, 3, 1, 2).float(), grid).max(1)
    values = {
        "noun": [[NOUNS.index(i.noun) + 1 for i in p.identities] for p in batch],
        "body": [[list(COLOURS).index(i.body) + 1 for i in p.identities] for p in batch],
        "pattern": [[PATTERNS.index(i.pattern) + 1 for i in p.identities] for p in batch],
    }
    labels = {}
    for name, rows in values.items():
        table_BS = torch.tensor([[0, *row, *[0] * (2 - len(row))] for row in rows])
        label = table_BS.gather(1, winner.flatten(1)).view_as(winner)
        labels[name] = label.masked_fill(share < 0.6, -100)
    return labels
