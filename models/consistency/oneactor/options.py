# SPDX-License-Identifier: Apache-2.0
"""OneActor's knobs, with the paper's numbers where paper and code agree.

Source: Wang et al. 2024, "OneActor: Consistent Character Generation via Cluster-Conditioned Guidance",
arXiv 2404.10267.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from models.consistency.templates import Kind, check_captions


@dataclass(frozen=True, kw_only=True)
class Options:
    """The `quality` preset."""

    kind: Kind = "character"
    """Of the subject: which sentences it is learnt in."""
    captions: tuple[str, ...] | None = None
    """Sentences of one's own instead, each with {} where the word goes."""
    auxiliaries: int = 10
    """Other pictures of the target's prompt, that the subject is told apart from (section 4.2)."""
    target: int = 0
    """Which of the drawn pictures shows the subject, where no picture of it is given."""
    rows: int = 3
    """Of them in a tuning step."""
    steps: int = 200
    lr: float = 1e-4
    weight_decay: float = 1e-2
    auxiliary_weight: float = 0.5
    """lambda 1 (equation 14)."""
    average_weight: float = 0.2
    """lambda 2."""
    average_picture: Literal["target", "random"] = "target"
    """Which picture goes with the average offset: always the target's, or any."""
    flip: bool = True
    """Whether pictures are mirrored at random."""
    head: Literal["layernorm", "adain"] = "layernorm"
    """What an offset's statistics are: free, or those of the word that it is added to."""
    statistics: Literal["batch", "running"] = "batch"
    """Of batch normalisation when offsets are taken in the end."""
    strength: float = 0.8
    """v: of the target's offset when drawing."""
    exclusion: float = 1.0
    """eta 2: how much the average of others is kept away from; eta 1 is guidance and this together."""
    interpolation: float = 1.0
    """g: where prompts are between an empty one, at 0, and what they say, at 1, or beyond (figure 3)."""
    guided: tuple[float, float] = (0.0, 2 / 3)
    """From which part of the steps to which the subject guides."""
    gradient_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: a number makes no sense.
        """
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}; it must be above 0")
        check_captions(self.captions)
        if not self.exclusion >= 0:
            raise ValueError(f"exclusion is {self.exclusion}; it must be 0 or more")
        for name in ("auxiliaries", "rows", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.target <= self.auxiliaries:
            raise ValueError(f"target is {self.target}; it must be one of 0 to {self.auxiliaries}")
        if not 0 <= self.guided[0] <= self.guided[1] <= 1:
            raise ValueError(f"guided is {self.guided}; it must be two parts in [0, 1], in order")

    def fast(self) -> Self:
        """Without exclusion, at no extra cost."""
        return replace(self, exclusion=0.0)

    def guides(self, step: int, steps: int) -> bool:
        """Whether the subject guides at a step."""
        begin, end = (round(part * steps) for part in self.guided)
        return begin <= step < end
