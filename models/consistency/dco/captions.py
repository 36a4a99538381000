# SPDX-License-Identifier: Apache-2.0
"""What is said of subjects' pictures: with their nouns, and the same with what the subjects are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.consistency.words import whole_words


class BadCaption(ValueError):
    """A caption does not name its noun just once."""


@dataclass(frozen=True, slots=True)
class Said:
    """Captions of pictures, in their order."""

    base: tuple[str, ...]
    """With the nouns: for the untuned model."""
    tuned: tuple[str, ...]
    """With what the subjects are called in their place."""


def said_of(pictures: int, nouns: Sequence[str], captions: Sequence[str], called: Sequence[str]) -> Said:
    """Captions in both forms.

    What a caption spells out - view, pose, surroundings, style - is not learnt into the subject.

    Args:
        pictures: how many there are.
        nouns: what the subjects are.
        captions: of the pictures; simple ones if there are none. Of several subjects they say who is where.
        called: what to say instead of each noun.

    Raises:
        BadCaption: there are too few or too many, or the noun is not once in each.
    """
    base = [*captions] or [f"a photo of a {nouns[0]}"] * pictures
    if len(nouns) > 1 and not captions:
        raise BadCaption("subjects that are learnt together need captions, which say who is in which picture")
    if len(base) != pictures:
        raise BadCaption(f"there are {len(base)} captions for {pictures} pictures; give one for each")
    return Said(tuple(base), tuple(with_names(caption, nouns, called) for caption in base))


def with_names(caption: str, nouns: Sequence[str], called: Sequence[str]) -> str:
    """The same with what they are called instead of nouns: of all subjects that are in it.

    Raises:
        BadCaption: none of them is, or a noun is there more than once.
    """
    there = [pair for pair in zip(nouns, called, strict=True) if whole_words(caption, pair[0])]
    for noun, name in there or [(nouns[0], called[0])]:
        caption = renamed(caption, noun, name)
    return caption


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
