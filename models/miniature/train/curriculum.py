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
_ARTICLES = ("a</w>", "an</w>")


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
        without being told what, which the tokens of an empty text say too; `owner` int64 (B, L), the
        number of the subject that a token speaks of, 0 of none; `masks` float32 (B, 2, H, W), the shares
        that each covers.
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
        nouns.append([identity.noun for identity in layout.identities(row)])
    mask_B3HW = F.adaptive_avg_pool2d(torch.from_numpy(np.stack(masks)).float(), CELLS)
    tokens_BL = tokenizer(texts, padding="max_length", return_tensors="pt").input_ids
    return {
        "latents": torch.from_numpy(np.stack(chosen)),
        "subject": mask_B3HW[:, 0],
        "tokens": tokens_BL,
        "told": torch.tensor([bool(text) for text in texts]),
        "owner": _owners(tokenizer, tokens_BL, nouns),
        "masks": mask_B3HW[:, 1:],
    }


def _owners(tokenizer: CLIPTokenizer, tokens_BL: Tensor, nouns: Sequence[Sequence[str]]) -> Tensor:
    """From each noun of a text back to its article."""
    articles = tokenizer.convert_tokens_to_ids(list(_ARTICLES))
    owner_BL = torch.zeros_like(tokens_BL)
    for row, some in enumerate(nouns):
        ids = tokens_BL[row].tolist()
        for number, noun in enumerate(some, 1):
            wanted = tokenizer.convert_tokens_to_ids(f"{noun}</w>")
            place = ids.index(wanted) if wanted in ids else 0
            while place and ids[place] not in articles:
                owner_BL[row, place], place = number, place - 1
    return owner_BL
