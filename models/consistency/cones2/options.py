# SPDX-License-Identifier: Apache-2.0
"""Cones 2's knobs, with the numbers that its authors advise.

Source: Liu et al. 2023, "Cones 2: Customizable Image Synthesis with Multiple Subjects", arXiv 2305.19327.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.consistency.templates import check_captions


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of training a residual, and of drawing with residuals and a layout."""

    steps: int = 4000
    batch: int = 1
    lr: float = 5e-6
    weight_decay: float = 1e-2
    clip: float = 1.0
    begin_weight: float = 1e-2
    """lambda 1: of how far the state of the begin token drifts."""
    rest_weight: float = 1e-3
    """lambda 2: of how far the states after the subject drift."""
    captions: tuple[str, ...] | None = None
    """Sentences with {} for the word, over which the residual is averaged; our own if None."""
    gradient_checkpointing: bool = False
    seed: int = 0
    strength: float = 1.0
    """Of residuals when drawing."""
    layout_weight: float = 0.08
    """g: how much a subject's words are looked at in its region, and only there; 0 for no layout."""
    guided: float = 1.0
    """Part of the steps, from the first on, in which the layout counts."""
    recurrence: int = 2
    """How often each of these steps is done, with noise added back in between; with a layout."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: a number makes no sense.
        """
        for name in ("lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not self.layout_weight >= 0:
            raise ValueError(f"layout_weight is {self.layout_weight}; it must be 0 or more")
        for name in ("steps", "batch", "recurrence"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.guided <= 1:
            raise ValueError(f"guided is {self.guided}; it must be in [0, 1]")
        check_captions(self.captions)

    def guides(self, step: int, steps: int) -> bool:
        """Whether the layout counts at a step."""
        return self.layout_weight > 0 and step < round(self.guided * steps)
