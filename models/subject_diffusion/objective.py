# SPDX-License-Identifier: Apache-2.0
"""What is minimised: the denoising error, and the attention to a subject's words outside of it (equation 3).

Shapes: B samples, K subjects, S x S pixels of a mask, C latent channels, H, W latent cells, T supervised
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.subject_diffusion.capture import AttentionCapture, layers_at
from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.conditions import References
from models.subject_diffusion.localisation_loss import localisation_loss
from models.subject_diffusion.model import SubjectDiffusion
from models.subject_diffusion.options import AttentionLoss
from models.subject_diffusion.template import Encoded


@dataclass(frozen=True, slots=True)
class Noisy:
    """What the objective is asked about."""

    latents_BCHW: Tensor
    """Without noise."""
    noise_BCHW: Tensor
    time_B: Tensor
    """int64, steps of the schedule."""
    prompts: Encoded
    references: References
    mask_BKSS: Tensor
    """Where each subject is, bool or in [0, 1]."""
    dropped: Dropped


@dataclass(frozen=True, slots=True)
class Losses:
    """Of a batch."""

    total: Tensor
    denoising_B: Tensor
    """Without gradient, and not weighted."""
    attention: Tensor
    """Without gradient, and not weighted; 0 if attention is not held to anything."""


class Objective(nn.Module):
    """The losses of the model on a batch; what a training wraps for several processes."""

    def __init__(self, model: SubjectDiffusion, scheduler: Any, min_snr: float | None = None) -> None:
        """
        Args:
            model: what is trained.
            scheduler: the base's noise schedule, with its `prediction_type`, `epsilon` or `v_prediction`.
            min_snr: cap on a timestep's signal-to-noise ratio as its weight (Hang et al. 2023); None for
                equal weights.

        Raises:
            ValueError: the base predicts something else.
        """
        super().__init__()
        self.model, self.scheduler, self.min_snr = model, scheduler, min_snr
        self._kind = str(scheduler.config.prediction_type)
        if self._kind not in ("epsilon", "v_prediction"):
            raise ValueError(
                f"the base predicts {self._kind!r}; only epsilon and v_prediction can be trained"
            )
        options = model.options
        wanted = options.attention_loss != AttentionLoss.none
        self.capture = AttentionCapture(
            model.unet, layers_at(model.unet, options.attention_cells) if wanted else ()
        )

    def forward(self, noisy: Noisy) -> Losses:
        """The losses of a batch."""
        latents_BCHW, noise_BCHW, time_B = noisy.latents_BCHW, noisy.noise_BCHW, noisy.time_B
        told = self.model.conditions(
            noisy.prompts, noisy.references, *latents_BCHW.shape[-2:], drop=noisy.dropped
        )
        self.capture.begin()
        seen_BCHW = self.scheduler.add_noise(latents_BCHW, noise_BCHW, time_B)
        predicted_BCHW = self.model(seen_BCHW, time_B, told).float()
        maps = self.capture.take()
        error_BCHW = F.mse_loss(predicted_BCHW, self._target(noisy), reduction="none")
        denoising_B = error_BCHW.flatten(1).mean(1)
        attention = self._attention(noisy, maps)
        total = (denoising_B * self._weight(time_B)).mean() + self.model.options.attention_weight * attention
        return Losses(total, denoising_B.detach(), attention.detach())

    def _target(self, noisy: Noisy) -> Tensor:
        if self._kind == "epsilon":
            return noisy.noise_BCHW
        return self.scheduler.get_velocity(noisy.latents_BCHW, noisy.noise_BCHW, noisy.time_B)

    def _attention(self, noisy: Noisy, maps: list[Tensor]) -> Tensor:
        """Of the words of subjects that are there, in prompts that are (spec section 2.5)."""
        prompts = noisy.prompts
        index_BTSS = prompts.subject_BT[..., None, None].expand(-1, -1, *noisy.mask_BKSS.shape[-2:])
        masks_BTSS = noisy.mask_BKSS.float().gather(1, index_BTSS)
        told_BT = prompts.told_BT & ~noisy.dropped.text[:, None]
        return localisation_loss(
            maps, prompts.supervised_BT, masks_BTSS, told_BT, self.model.options.attention_loss
        )

    def _weight(self, time_B: Tensor) -> Tensor:
        if self.min_snr is None:
            return torch.ones_like(time_B, dtype=torch.float32)
        signal_B = self.scheduler.alphas_cumprod.to(time_B.device)[time_B]
        snr_B = signal_B / (1 - signal_B)
        # A velocity's error is already that of the latents, times (ratio + 1).
        scale_B = snr_B if self._kind == "epsilon" else snr_B + 1
        return snr_B.clamp(max=self.min_snr) / scale_B
