# SPDX-License-Identifier: Apache-2.0
"""Prompts as a UNet is given them while something is trained, whichever text encoders there are.

Shapes: B prompts, L tokens, D width of a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


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


def texts_of(pipe: Any, prompts: Sequence[str], height: int, width: int) -> Texts:
    """Encode prompts.

    Args:
        pipe: a Stable Diffusion or SDXL pipeline.
        prompts: with words that it knows.
        height: of the pictures, pixels.
        width: of the pictures.
    """
    device = pipe.unet.device
    if not hasattr(pipe, "text_encoder_2"):
        return Texts(pipe.encode_prompt([*prompts], device, 1, False)[0], {})
    states_BLD, _, pooled_BD, _ = pipe.encode_prompt(
        [*prompts], device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
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


def pixels_of(pipe: Any, height: int | None, width: int | None) -> tuple[int, int]:
    """Height and width of pictures; the model's own where not given."""
    usual = pipe.unet.config.sample_size * pipe.vae_scale_factor
    return height or usual, width or usual
