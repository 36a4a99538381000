# SPDX-License-Identifier: Apache-2.0
"""Prompts as a UNet is given them while something is trained, whichever text encoders there are.

Shapes: B prompts, L tokens, D width of a state, E width of a pooled text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Texts:
    """What goes with latents into a call of the UNet."""

    states_BLD: Tensor
    added: Mapping[str, Tensor]
    """With two text encoders the pooled text and the sizes; empty with one."""

    def rows(self, which: Sequence[int]) -> Texts:
        """Some of them, in any order."""
        some = [*which]
        return Texts(self.states_BLD[some], {name: each[some] for name, each in self.added.items()})

    def with_states(self, states_BLD: Tensor) -> Texts:
        """The same with other states."""
        return Texts(states_BLD, self.added)

    def predicted(self, unet: Any, noisy_BCHW: Tensor, time_B: Tensor) -> Tensor:
        """What the UNet predicts with them, (B, C, H, W)."""
        added = dict(self.added) or None
        states_BLD = self.states_BLD.to(noisy_BCHW.dtype)
        return unet(noisy_BCHW, time_B, states_BLD, added_cond_kwargs=added, return_dict=False)[0]


def texts_of(
    pipe: Any, prompts: Sequence[str], height: int, width: int, clip_skip: int | None = None
) -> Texts:
    """Encode prompts.

    Args:
        pipe: a Stable Diffusion or SDXL pipeline.
        prompts: with words that it knows.
        height: of the pictures, pixels.
        width: of the pictures.
        clip_skip: how many of the text encoder's last layers are left out.
    """
    device = pipe.unet.device
    if not hasattr(pipe, "text_encoder_2"):
        return Texts(pipe.encode_prompt([*prompts], device, 1, False, clip_skip=clip_skip)[0], {})
    states_BLD, _, pooled_BD, _ = pipe.encode_prompt(
        [*prompts],
        device=device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
        clip_skip=clip_skip,
    )
    ids_1N = pipe._get_add_time_ids(
        (height, width),
        (0, 0),
        (height, width),
        dtype=states_BLD.dtype,
        text_encoder_projection_dim=pipe.text_encoder_2.config.projection_dim,
    )
    time_ids = ids_1N.to(device).repeat(len(prompts), 1)
    return Texts(states_BLD, {"text_embeds": pooled_BD, "time_ids": time_ids})


class Encoders(nn.Module):
    """A pipeline's text encoders, or copies of them, with gradient: states as the UNet gets them."""

    def __init__(self, pipe: Any, copies: bool) -> None:
        """
        Args:
            pipe: with one or two.
            copies: whether they are to be trained apart from the pipeline's own, in float32.
        """
        super().__init__()
        names = [name for name in ("text_encoder", "text_encoder_2") if hasattr(pipe, name)]
        found = [getattr(pipe, name) for name in names]
        self.encoders = nn.ModuleList([deepcopy(each).float() if copies else each for each in found])
        self._tokenizers = [getattr(pipe, name.replace("text_encoder", "tokenizer")) for name in names]

    def forward(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """(B, L, D): the last states of one encoder, the last but one of two side by side; and of two the
        pooled text (B, E)."""
        several = len(self.encoders) > 1
        parts, pooled = [], None
        for encoder, tokenizer in zip(self.encoders, self._tokenizers, strict=True):
            ids_BL = tokenizer(
                [*prompts],
                padding="max_length",
                truncation=True,
                max_length=tokenizer.model_max_length,
                return_tensors="pt",
            ).input_ids.to(next(encoder.parameters()).device)
            found = encoder(ids_BL, output_hidden_states=several)
            parts.append(found.hidden_states[-2] if several else found[0])
            pooled = found[0] if several else None
        return torch.cat(parts, dim=-1), pooled


def pixels_of(pipe: Any, height: int | None, width: int | None) -> tuple[int, int]:
    """Height and width of pictures; the model's own where not given."""
    usual = pipe.unet.config.sample_size * pipe.vae_scale_factor
    return height or usual, width or usual
