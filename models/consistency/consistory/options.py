# SPDX-License-Identifier: Apache-2.0
"""What ConsiStory does when: its knobs, the paper's and the official code's answers.

Source: Tewel et al. 2024, "Training-Free Consistent Text-to-Image Generation", arXiv 2402.03286.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, Self

FREEU_SDXL = (0.6, 0.4, 1.1, 1.2)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The clean preset: what the paper says, without side effects of the official code."""

    anchors: int = 2
    """Pictures that all others look at; they look at each other."""
    share: bool = True
    """Whether self-attention on the way up sees the subjects of anchors (section 4.1)."""
    mask_dropout: float = 0.5
    """Share of a subject's patches that others do not see, drawn anew each step (section 4.2)."""
    dropout_seed: int = 0
    draws: Literal["image", "batch"] = "image"
    """Whether each picture draws on its own, so that an anchor's draws are the same in any batch."""
    mask_window: int | None = 20
    """Steps over which attention to the subject's words is averaged; None for all before."""
    mask_depth: int | None = None
    """Where it is read: how often the latents' sides are halved; 2, where the UNet attends there, if None."""
    blend: tuple[float, float] | None = (0.9, 0.81836735)
    """Share of an unchanged model's queries at step 0 and at the last with any; None for none."""
    blend_part: float = 0.1
    """Of all steps, those with blended queries."""
    injection: float = 0.8
    """Share of the corresponding patch's output (section 4.3); 0 for none."""
    injection_part: tuple[float, float] = (0.1, 1 / 3)
    """From which part of the steps to which."""
    injection_depth: int | None = None
    """Where: 1, where the UNet attends there, if None."""
    injection_order: Literal["simultaneous", "sequential"] = "simultaneous"
    """Whether pictures take what others had before, or in turn what is already blended."""
    features_time: int = 261
    """Timestep of the features that say what corresponds to what; the nearest one is taken."""
    features_block: int | None = None
    """Up block that they come out of; the one whose output is on half of the latents' grid if None."""
    features_sigma: float = 1.0
    """Of the Gaussian that smoothes them, in places."""
    features_aliased: bool = False
    """Whether the next block's FreeU has scaled half of their channels."""
    whole_first_pass: bool = False
    """Whether the first pass goes on after the features are there."""
    freeu: tuple[float, float, float, float] | Literal["usual"] | None = "usual"
    """s1, s2, b1, b2; `usual` are the paper's with two text encoders, and none with one."""
    given_guidance: float = 2.0
    """By their captions, of given pictures (section 5.5)."""
    kept_bytes: int | None = None
    """Of each pass of anchors kept for later prompts; anchors that take more are drawn again each time."""
    sequential_halves: bool = False
    """Whether the halves of guidance are computed one after the other, for less memory."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: a share is not in [0, 1], or there is no anchor.
        """
        shares = {
            "mask_dropout": [self.mask_dropout],
            "blend": [*(self.blend or ())],
            "blend_part": [self.blend_part],
            "injection": [self.injection],
            "injection_part": [*self.injection_part],
        }
        for name, values in shares.items():
            if not all(0 <= value <= 1 for value in values):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")
        if self.injection_part[0] > self.injection_part[1]:
            raise ValueError(f"injection_part is {self.injection_part}; it must be two parts in order")
        if not isfinite(self.features_sigma):
            raise ValueError(f"features_sigma is {self.features_sigma}; it must be a number")
        if not 0 <= self.dropout_seed < 2**63:
            raise ValueError(f"dropout_seed is {self.dropout_seed}; it must be in 0 to 2^63")
        for name in ("kept_bytes", "mask_depth", "injection_depth", "features_block"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}; it must be 0 or more")
        for name in ("anchors", "mask_window"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")

    @classmethod
    def parity(cls) -> Self:
        """The official code's choices, its side effects included."""
        return cls(draws="batch", injection_order="sequential", features_aliased=True, whole_first_pass=True)

    def off(self) -> Self:
        """The same without any effect on the model."""
        return replace(self, share=False, injection=0.0, freeu=None)

    def blended(self, step: int, steps: int) -> float:
        """Share of the unchanged model's queries at a step, 0 for none (equation 4).

        Without a mask, at step 0, nothing is shared, and blending would change nothing.
        """
        last = int(steps * self.blend_part)
        if self.blend is None or not self.share or not 1 <= step <= last:
            return 0.0
        first, final = self.blend
        return first + (final - first) * step / last

    def injected(self, step: int, steps: int) -> bool:
        """Whether corresponding patches are injected at a step, of the second pass."""
        begin, end = (int(steps * part + 1e-9) for part in self.injection_part)
        return self.injection > 0 and begin <= step <= end
