# SPDX-License-Identifier: Apache-2.0
"""The loss of Direct Consistency Optimization: to be better than the untuned model, and no more than needed.

Shapes: B samples, C latent channels, H, W latent cells.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def errors(predicted_BCHW: Tensor, wanted_BCHW: Tensor) -> Tensor:
    """Mean squared error of each sample, float32 (B,)."""
    return F.mse_loss(predicted_BCHW.float(), wanted_BCHW.float(), reduction="none").mean((1, 2, 3))


def dco_loss(
    tuned_B: Tensor,
    untuned_B: Tensor,
    beta: float,
    weight_B: Tensor | None = None,
    reduction: Literal["sample", "batch"] = "sample",
) -> Tensor:
    """-log sigmoid(-beta (tuned - untuned)), a scalar; log 2 where both are the same.

    Args:
        tuned_B: errors of the model that is tuned.
        untuned_B: of the one before; without gradient.
        beta: a margin of a few 1 / beta is enough.
        weight_B: of the samples' timesteps.
        reduction: see `Options.reduction`.
    """
    margin_B = tuned_B - untuned_B.detach()
    if weight_B is not None:
        margin_B = weight_B * margin_B
    if reduction == "batch":
        margin_B = margin_B.mean(0, keepdim=True)
    return -F.logsigmoid(-beta * margin_B).mean()


def min_snr_weights(kept_B: Tensor, cap: float, velocity: bool) -> Tensor:
    """min(SNR, cap) / SNR, and / (SNR + 1) for velocities (Hang et al. 2023), (B,).

    Args:
        kept_B: share of the signal's power at each sample's timestep, in (0, 1).
        cap: on the signal-to-noise ratio.
        velocity: whether the model predicts velocities.
    """
    snr_B = kept_B / (1 - kept_B)
    over_B = snr_B + 1 if velocity else snr_B
    return snr_B.clamp(max=cap) / over_B.clamp(min=1e-8)
