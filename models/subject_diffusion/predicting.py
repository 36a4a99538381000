# SPDX-License-Identifier: Apache-2.0
"""The UNet's prediction under conditions.

Shapes: B samples, S tokens of the references, D their width, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.subject_diffusion.conditions import Conditions


def attending(tokens_BSD: Tensor | None) -> dict[str, Any]:
    """Keyword arguments of the UNet that make it attend to these; none for what the base does."""
    return {} if tokens_BSD is None else {"cross_attention_kwargs": {"gligen": {"objs": tokens_BSD}}}


def predicted(unet: Any, noisy_BCHW: Tensor, time: Tensor, told: Conditions) -> Tensor:
    """What the UNet predicts, (B, C, H, W).

    Args:
        unet: a `SubjectUNet`.
        noisy_BCHW: latents.
        time: of each, or of all.
        told: see `Conditioner`.
    """
    if told.map_B1HW is not None:
        noisy_BCHW = torch.cat([noisy_BCHW, told.map_B1HW.to(noisy_BCHW.dtype)], dim=1)
    return unet(noisy_BCHW, time, told.states_BLD, **attending(told.tokens_BSD)).sample
