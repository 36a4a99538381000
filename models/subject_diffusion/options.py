# SPDX-License-Identifier: Apache-2.0
"""Every choice of Subject-Diffusion (Ma et al., arXiv 2307.11410) that paper and official code leave open or
answer differently; the defaults mend what is broken, `legacy()` is what the code did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

USUAL_GUIDANCE = (7.5, 1.5)
"""By the text and by the references (spec section 2.7)."""


class Background(StrEnum):
    """What lies behind a reference that was cut out."""

    white = "white"
    """As in the paper, and wherever a reference is given to a finished model."""
    random_image = "random_image"
    """Another picture of the dataset, the reference at half of its area, as in the code's training."""
    mix = "mix"
    """One of the two, with equal chances."""


class BoxCoordinates(StrEnum):
    """When the model is told where its subjects are, beyond the location map."""

    always = "always"
    multi_only = "multi_only"
    """Only with two subjects or more: with one they cost fidelity (table 3, row d)."""


class AttentionLoss(StrEnum):
    """How the attention to a subject's words is held to its mask."""

    balanced = "balanced"
    """Mean attention outside of the mask less the mean inside, as in the code."""
    l1 = "l1"
    """Mean distance from the mask (equation 2); its scale is another, so it needs a weight of its own."""
    none = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """How often a sample is trained without its conditions; the rest keeps all of them."""

    text: float = 0.05
    """Share without text alone."""
    both: float = 0.05
    """Share without text and without location map."""
    location: float = 0.05
    """Share without location map alone."""
    subjects: bool = True
    """Whether the subjects' patches go with the map, as they do in the unconditional pass of guidance."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if a share is negative, or all of them are more than 1.
        """
        if min(self.text, self.both, self.location) < 0 or self.text + self.both + self.location > 1:
            raise ValueError("drop: shares must not be negative, and not be more than 1 together")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the model is made of; stored beside its weights, since weights fit one choice only."""

    max_subjects: int = 2
    placeholder: str = "sks"
    """The word whose embedding a reference takes; added to the tokenizer if that splits it into pieces."""
    suffix: str = ", the {label} is {placeholder}"
    """What is added to a prompt for each subject (section 3.2)."""
    cls_fusion: bool = True
    """Whether references go into the text (row g without)."""
    adapter: bool = True
    """Whether references go into the UNet's gated attention (row e without)."""
    location_control: bool = True
    """Whether the UNet sees a map of where the subjects are (row c without)."""
    box_coordinates: BoxCoordinates | None = BoxCoordinates.always
    """None for never (row d)."""
    attention_loss: AttentionLoss = AttentionLoss.balanced
    """`none` is row f."""
    attention_weight: float = 0.01
    attention_cells: tuple[int, ...] = (2, 4, 8)
    """Which cross-attention is held to the masks: that on grids of 1/n of the latents' side."""
    train_text_encoder: bool = True
    reference_background: Background = Background.white
    drop: Drop = field(default_factory=Drop)
    zero_tokens: bool = False
    """Whether dropped subjects are tokens of zeros, as in the code's sampling, and not what was learnt."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if the suffix has not one label and one placeholder, or a number makes no sense.
        """
        if self.max_subjects < 1:
            raise ValueError(f"max_subjects is {self.max_subjects}; it must be 1 or more")
        if self.suffix.count("{label}") != 1 or self.suffix.count("{placeholder}") != 1:
            raise ValueError(
                f"suffix is {self.suffix!r}; it must have {{label}} and {{placeholder}} once each"
            )
        if self.suffix.index("{label}") > self.suffix.index("{placeholder}"):
            raise ValueError(f"suffix is {self.suffix!r}; the label must stand before the placeholder")
        if not self.placeholder.strip() or len(self.placeholder.split()) != 1:
            raise ValueError(f"placeholder is {self.placeholder!r}; it must be one word")

    def legacy(self) -> Options:
        """The same with every conflict decided as the official code decides it (spec section 0)."""
        return replace(
            self,
            reference_background=Background.random_image,
            drop=replace(self.drop, subjects=False),
            zero_tokens=True,
        )


def options_of(values: Mapping[str, Any]) -> Options:
    """Options of plain data, as `dataclasses.asdict` and JSON have them.

    Raises:
        ValueError: a value is none that there is.
        TypeError: a name is none that there is.
    """
    box = values["box_coordinates"]
    typed = {
        "attention_cells": tuple(values["attention_cells"]),
        "attention_loss": AttentionLoss(values["attention_loss"]),
        "reference_background": Background(values["reference_background"]),
        "box_coordinates": None if box is None else BoxCoordinates(box),
        "drop": Drop(**values["drop"]),
    }
    return Options(**{**values, **typed})
