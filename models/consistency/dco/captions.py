# SPDX-License-Identifier: Apache-2.0
"""What is said of a subject's pictures: with its noun, and the same with its new word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.consistency.words import whole_words


class BadCaption(ValueError):
    """A caption does not name the noun just once."""


@dataclass(frozen=True, slots=True)
class Said:
    """Captions of pictures, in their order."""

    base: tuple[str, ...]
    """With the noun: for the untuned model."""
    tuned: tuple[str, ...]
    """With the subject's word in its place."""


def said_of(pictures: int, noun: str, captions: Sequence[str], word: str | None) -> Said:
    """Captions in both forms.

    What a caption spells out - view, pose, surroundings, style - is not learnt into the subject.

    Args:
        pictures: how many there are.
        noun: what the subject is.
        captions: of the pictures; simple ones if there are none.
        word: what to call it; None for the noun.

    Raises:
        BadCaption: there are too few or too many, or the noun is not once in each.
    """
    base = [*captions] or [f"a photo of a {noun}"] * pictures
    if len(base) != pictures:
        raise BadCaption(f"there are {len(base)} captions for {pictures} pictures; give one for each")
    return Said(tuple(base), tuple(renamed(caption, noun, word or noun) for caption in base))


def renamed(text: str, noun: str, word: str) -> str:
    """A text with the noun's only occurrence replaced.

    Raises:
        BadCaption: it is not there once.
    """
    found = whole_words(text, noun)
    if len(found) != 1:
        raise BadCaption(f"{text!r} has the word {noun!r} {len(found)} times; it must be there once")
    begin, end = found[0]
    return f"{text[:begin]}{word}{text[end:]}"
