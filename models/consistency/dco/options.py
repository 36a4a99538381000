# SPDX-License-Identifier: Apache-2.0
"""Knobs of Direct Consistency Optimization, and what of them DreamBooth and Textual Inversion are.

Sources: Lee et al. 2024, "Direct Consistency Optimization for Robust Customization of Text-to-Image Diffusion
Models", arXiv 2402.12004; Ruiz et al. 2023 (DreamBooth), arXiv 2208.12242; Gal et al. 2022 (Textual
Inversion), arXiv 2208.01618.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self


@dataclass(frozen=True, kw_only=True)
class Options:
    """DCO's for a subject."""

    rank: int = 32
    """Of the low-rank changes of all attention; 0 for none."""
    lr: float = 5e-5
    token: str | None = "<subject>"
    """A new word for the subject, with a learnt row of its own; None for none."""
    token_lr: float = 5e-6
    identifier: str | None = None
    """A word to say before the noun instead, that stays as it is."""
    beta: float | None = 1000.0
    """How closely to stay to the untuned model; None for plain denoising, without it."""
    reduction: Literal["sample", "batch"] = "sample"
    """Whether each sample's margin counts by itself, or that of the batch's mean, as in the official code."""
    min_snr: float | None = None
    """Cap on a timestep's weight; None for equal weights."""
    offset_noise: float = 0.0
    """Of a noise that is the same all over the picture."""
    prior_weight: float = 0.0
    """Of denoising pictures that the untuned model draws of the noun."""
    prior_pictures: int = 50
    steps: int = 2000
    batch: int = 1
    weight_decay: float = 1e-4
    clip: float = 1.0
    gradient_checkpointing: bool = False
    seed: int = 0
    consistency: float | None = 3.0
    """w_con when drawing (section 4.2); None for the tuned model's own guidance."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: a number makes no sense, or nothing is trained.
        """
        for name in ("lr", "token_lr", "min_snr", "clip"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not self.prior_weight >= 0:
            raise ValueError(f"prior_weight is {self.prior_weight}; it must be 0 or more")
        for name in ("steps", "batch", "prior_pictures"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.rank < 0 or (self.rank == 0 and self.token is None):
            raise ValueError(f"rank is {self.rank} without a token; there must be something to train")
        if self.beta is not None and self.beta <= 0:
            raise ValueError(f"beta is {self.beta}; it must be above 0, or null for plain denoising")

    def style(self) -> Self:
        """For the style of one picture."""
        return replace(self, rank=64, token=None, steps=1000, offset_noise=0.1)

    def dreambooth(self, prior: bool = False) -> Self:
        """DreamBooth with low-rank changes; the same trainer without the untuned model in the loss."""
        return replace(
            self,
            token=None,
            identifier="sks",
            beta=None,
            prior_weight=float(prior),
            consistency=None,
        )

    def merged(self) -> Self:
        """States of DCO or DreamBooth added up and drawn with the model's own guidance."""
        return replace(self, consistency=None)

    def textual_inversion(self) -> Self:
        """A learnt word and nothing else."""
        return replace(self, rank=0, token_lr=5e-3, beta=None, consistency=None)
