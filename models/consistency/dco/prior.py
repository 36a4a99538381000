# SPDX-License-Identifier: Apache-2.0
"""What the untuned model draws of a noun: DreamBooth's prior preservation (arXiv 2208.12242, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from models.consistency.borrowed import borrowed
from models.consistency.dco.tuning import Latents
from models.consistency.latents import encoded_pictures
from models.consistency.method import Sampling, Tell
from models.consistency.text import pixels_of

_AT_ONCE = 4
"""Pictures that are drawn together."""


def prior_prompt(noun: str) -> str:
    """That they are drawn with."""
    return f"a photo of a {noun}"


@torch.no_grad()
def prior_latents(
    pipe: Any, nouns: Sequence[str], count: int, seed: int, sampling: Sampling, tell: Tell
) -> Latents:
    """Of so many pictures of each noun, one noun after another.

    Args:
        pipe: before anything is tuned.
        nouns: what they show.
        count: how many of each.
        seed: of the first.
        sampling: how to draw.
        tell: of progress.
    """
    drawing, pictures = replace(sampling, output="pil"), []
    with borrowed(pipe) as ours:
        for noun, start in product(nouns, range(0, count, _AT_ONCE)):
            seeds = [seed + place for place in range(start, min(count, start + _AT_ONCE))]
            tell(start, count, f"drawing pictures of any {noun}")
            pictures += ours(**drawing.arguments([prior_prompt(noun)] * len(seeds), seeds)).images
    height, width = pixels_of(pipe, sampling.height, sampling.width)
    return Latents(*encoded_pictures(pipe, pictures, height, width))
