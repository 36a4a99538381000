# SPDX-License-Identifier: Apache-2.0
"""Which of a sample's entities a training may use as subjects; every threshold is a choice, made late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Fill(StrEnum):
    """What has to fill a subject's box."""

    subject = "subject"
    """The subject's own mask."""
    dominant = "dominant"
    """The most frequent value of the label map in it, be it background, as in the official code."""


class Words(StrEnum):
    """When a label is in its caption."""

    whole = "whole"
    """As whole words, whatever their case."""
    substring = "substring"
    """Anywhere, as "man" is in "woman", as in the official code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Official numbers where they make sense (spec section 1.4); ranges are open at both ends."""

    max_subjects: int = 2
    white: float = 0.10
    """Largest share of pixels with all channels above 0.9, which product shots have."""
    area: tuple[float, float] = (0.08, 0.7)
    """Of a box over the picture's."""
    ratio: tuple[float, float] = (0.3, 3.0)
    """Of a box's width over its height, and after the crop of its height over its width."""
    score: float = 0.3
    """What a detection's must exceed."""
    containment: float = 0.8
    """A box is dropped of which, or of an already chosen one, a larger share is common to both."""
    fill: float = 0.3
    """Smallest share of a box that is filled."""
    fill_counts: Fill = Fill.subject
    values: tuple[int, int] | None = None
    """How many values of the label map may lie in a box, ends included; None for any number."""
    one_word: bool = False
    """Whether labels of several words are left out."""
    words: Words = Words.whole
    cropped_area: float = 200.0
    """What a box's area must exceed after the crop, in square pixels of a picture of 512."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if a range is empty or a number makes no sense.
        """
        if self.max_subjects < 1:
            raise ValueError(f"max_subjects is {self.max_subjects}; it must be 1 or more")
        for name in ("area", "ratio", "values"):
            ends = getattr(self, name)
            if ends is not None and ends[0] > ends[1]:
                raise ValueError(f"{name} is {ends}; its first number must not be the larger one")
        for name in ("white", "score", "containment", "fill"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1]")

    def legacy(self) -> Rules:
        """As the official code chooses."""
        return replace(
            self, fill=0.6, fill_counts=Fill.dominant, values=(2, 5), one_word=True, words=Words.substring
        )
