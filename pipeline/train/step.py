# SPDX-License-Identifier: Apache-2.0
"""One piece of a batch through the model: frozen features, noise, losses, and what of them is recorded.

Shapes: B samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.subject_diffusion.condition_drop import dropped
from models.subject_diffusion.conditions import References
from models.subject_diffusion.features import FrozenFeatures, Seen
from models.subject_diffusion.objective import Losses, Noisy
from models.subject_diffusion.options import Options
from pipeline.train.batch import Batch

QUARTERS = 4

See = Callable[[FrozenFeatures, Batch], Seen]
"""How a batch's frozen features come about."""


def computed(features: FrozenFeatures, batch: Batch) -> Seen:
    """Anew."""
    return features(batch.image_BSSC, batch.reference_BKRRC)


@dataclass(frozen=True, slots=True)
class Asking:
    """Makes what the objective is asked about."""

    features: FrozenFeatures
    options: Options
    timesteps: int
    see: See = computed

    def __call__(self, batch: Batch) -> Noisy:
        """Of a batch on the device."""
        seen = self.see(self.features, batch)
        cls_BKE, patches_BKPV = seen.cls_BKE.float(), seen.patches_BKPV.float()
        return Noisy(
            latents_BCHW=self.features.drawn(seen, batch.posterior_BCHW),
            noise_BCHW=batch.noise_BCHW,
            time_B=(batch.time_B * self.timesteps).long(),
            prompts=batch.prompts,
            references=References(cls_BKE, patches_BKPV, batch.box_BK4, batch.prompts.there_BK),
            mask_BKSS=batch.mask_BKSS,
            dropped=dropped(batch.drop_B, self.options.drop),
        )


def told(losses: Losses, batch: Batch) -> Tensor:
    """What a piece adds to its step's record, float64 (3 + 2 * quarters,).

    Total, denoising and attention loss; of each quarter of the timesteps the sum of denoising losses; of each
    the number of samples.
    """
    quarter_B = (batch.time_B * QUARTERS).long()
    sums, counts = (
        torch.zeros(QUARTERS, dtype=torch.float64, device=quarter_B.device).index_add(0, quarter_B, values)
        for values in (losses.denoising_B.double(), torch.ones_like(batch.time_B))
    )
    means = torch.stack([losses.total.detach(), losses.denoising_B.mean(), losses.attention]).double()
    return torch.cat([means, sums, counts])


def as_record(told_pieces: Sequence[Tensor], gathered: Any) -> dict[str, float | None]:
    """A step's losses by name.

    Args:
        told_pieces: of this process.
        gathered: makes of a mean of this process that of all.
    """
    values = gathered(torch.stack([*told_pieces]).mean(0).cpu())
    total, denoising, attention = values[:3].tolist()
    sums, counts = values[3:].reshape(2, QUARTERS).tolist()
    quarters = {
        f"loss_quarter_{place + 1}": value / count if count else None
        for place, (value, count) in enumerate(zip(sums, counts, strict=True))
    }
    return {"loss": total, "denoising_loss": denoising, "attention_loss": attention, **quarters}


def gates(unet: torch.nn.Module) -> list[Tensor]:
    """The gates of the adapter's layers."""
    return [parameter for name, parameter in unet.named_parameters() if ".alpha_" in name]


@torch.no_grad()
def opening(several: Sequence[Tensor]) -> float | None:
    """Mean |tanh| of gates; None of none."""
    if not several:
        return None
    whole: list[Any] = [gate.full_tensor() if hasattr(gate, "full_tensor") else gate for gate in several]  # pyright: ignore
    return float(torch.stack([gate.float().reshape(()) for gate in whole]).tanh().abs().mean())
