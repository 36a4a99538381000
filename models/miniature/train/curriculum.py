# SPDX-License-Identifier: Apache-2.0
"""What a text-to-image model of the world is shown, and when.

First only large single subjects in the middle, then single ones anywhere and pairs as well.

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTokenizer

from models.miniature.train.feed import Tensors
from models.miniature.train.layouts import LAYOUTS, PIXELS, Layout
from models.miniature.train.loop import Recipe, progress
from models.miniature.train.scenes import Series

CELLS = PIXELS // 4
CURRICULUM = (
    (0.0, (1.0, 0.0, 0.0)),
    (0.35, (0.6, 0.2, 0.2)),
    (0.6, (0.4, 0.25, 0.35)),
    (0.8, (0.25, 0.15, 0.6)),
)
"""From which part of the schedule on, the shares of the layouts (see `LAYOUTS`)."""
_UNPROMPTED = 0.1


def shares(part: float) -> tuple[float, ...]:
    """Of the layouts, after a part of the curriculum in [0, 1]."""
    return next(share for begin, share in reversed(CURRICULUM) if part >= begin)


def draw(
    layouts: Mapping[Series, Layout],
    latents: Mapping[Series, np.ndarray],
    tokenizer: CLIPTokenizer,
    recipe: Recipe,
    step: int,
) -> Tensors:
    """Batch number `step`, a pure function of its arguments.

    Returns:
        `latents` float16 (B, C, H, W); `subject` float32 (B, H, W), the share of each cell that subjects
        cover, in [0, 1]; `tokens` int64 (B, L); `told` bool (B,), False where the model learns to draw
        without being told what, which the tokens of an empty text say too.
    """
    rng = np.random.default_rng((17, step))
    chosen, masks, texts = [], [], []
    for series in rng.choice(LAYOUTS, recipe.batch, p=shares(progress(recipe, step))):
        layout = layouts[series]
        row, mirrored = int(layout.rows[rng.integers(len(layout.rows))]), int(rng.random() < 0.5)
        chosen.append(latents[series][row, mirrored])
        mask_HW = layout.scenes.instance_NHW[row] > 0
        masks.append(mask_HW[:, ::-1] if mirrored else mask_HW)
        prompt = layout.prompt(row, rng)
        texts.append("" if rng.random() < _UNPROMPTED else prompt.text)
    mask_BHW = torch.from_numpy(np.stack(masks)).float()
    return {
        "latents": torch.from_numpy(np.stack(chosen)),
        "subject": F.adaptive_avg_pool2d(mask_BHW[:, None], CELLS)[:, 0],
        "tokens": tokenizer(texts, padding="max_length", return_tensors="pt").input_ids,
        "told": torch.tensor([bool(text) for text in texts]),
    }
