# SPDX-License-Identifier: Apache-2.0
"""What a text-to-image model of the world is shown, and when.

First only large single subjects in the middle, then single ones anywhere and pairs as well.

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
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
_NOUNS = 2
"""Subjects of a scene at most."""


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
        without being told what, which the tokens of an empty text say too. Of up to two nouns that the text
        names: `noun_place` int64 (B, 2), `noun_told` bool (B, 2) and `noun_mask` float32 (B, 2, H, W).
    """
    rng = np.random.default_rng((17, step))
    chosen, masks, texts, nouns = [], [], [], []
    for series in rng.choice(LAYOUTS, recipe.batch, p=shares(progress(recipe, step))):
        layout = layouts[series]
        row, mirrored = int(layout.rows[rng.integers(len(layout.rows))]), int(rng.random() < 0.5)
        chosen.append(latents[series][row, mirrored])
        instance_HW = layout.scenes.instance_NHW[row]
        instance_HW = instance_HW[:, ::-1] if mirrored else instance_HW
        masks.append(np.stack([instance_HW > 0, instance_HW == 1, instance_HW == 2]))
        prompt = layout.prompt(row, rng)
        texts.append("" if rng.random() < _UNPROMPTED else prompt.text)
        nouns.append([identity.noun for identity in layout.identities(row)][:_NOUNS])
    mask_B3HW = F.adaptive_avg_pool2d(torch.from_numpy(np.stack(masks)).float(), CELLS)
    tokens_BL = tokenizer(texts, padding="max_length", return_tensors="pt").input_ids
    place_B2, told_B2 = _noun_places(tokenizer, tokens_BL, nouns)
    return {
        "latents": torch.from_numpy(np.stack(chosen)),
        "subject": mask_B3HW[:, 0],
        "tokens": tokens_BL,
        "told": torch.tensor([bool(text) for text in texts]),
        "noun_place": place_B2,
        "noun_told": told_B2,
        "noun_mask": mask_B3HW[:, 1:],
    }


def _noun_places(
    tokenizer: CLIPTokenizer, tokens_BL: Tensor, nouns: Sequence[Sequence[str]]
) -> tuple[Tensor, Tensor]:
    """Where in each text the nouns of its scene's subjects are, and whether they are there at all."""
    place_B2 = torch.zeros(len(nouns), _NOUNS, dtype=torch.int64)
    told_B2 = torch.zeros(len(nouns), _NOUNS, dtype=torch.bool)
    for row, some in enumerate(nouns):
        for column, noun in enumerate(some):
            ids = tokens_BL[row].tolist()
            wanted = tokenizer.convert_tokens_to_ids(f"{noun}</w>")
            if wanted in ids:
                place_B2[row, column], told_B2[row, column] = ids.index(wanted), True
    return place_B2, told_B2
