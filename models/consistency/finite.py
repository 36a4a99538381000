# SPDX-License-Identifier: Apache-2.0
"""Numbers that are none: told at once, instead of black pictures and states that draw them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def checked_loss(loss: float, step: int) -> float:
    """The loss of a tuning's step.

    Raises:
        FloatingPointError: it is no number.
    """
    if not isfinite(loss):
        raise FloatingPointError(f"the loss is no number at step {step}; lower lr, or tune in float32")
    return loss


def checked_latents(latents: torch.Tensor | None) -> None:
    """Of what was drawn.

    Raises:
        FloatingPointError: there are some that are no numbers.
    """
    if latents is not None and not latents.isfinite().all():
        raise FloatingPointError(
            "the latents are no numbers; sample in float32 or bfloat16, with less guidance, "
            "or with a state that was learnt at a lower lr"
        )
