# SPDX-License-Identifier: Apache-2.0
"""Captions that say what a subject is, not how it looks: what words tell need not be seen in a reference."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from models.miniature.world.caption import article

_ARTICLE = re.compile(r"(?<!\w)an?(\s+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase of a caption, without its article; places count characters."""

    label: str
    """Its noun's lemma."""
    start: int
    head_start: int


def bare(caption: str, phrases: Sequence[Phrase], labels: Collection[str]) -> str:
    """The caption without the words that stand before some nouns: `a cat` for `an old red cat`.

    Args:
        caption: all of it.
        phrases: its noun phrases.
        labels: of the nouns.
    """
    for phrase in sorted(phrases, key=lambda each: -each.start):
        if phrase.label in labels and phrase.start < phrase.head_start:
            before, noun = caption[: phrase.start], caption[phrase.head_start :]
            caption = _ARTICLE.sub(lambda found, noun=noun: _like(found, article(noun)), before) + noun
    return caption


def _like(found: re.Match[str], word: str) -> str:
    """An article with the capital and the space of the one that was there."""
    return (word.capitalize() if found[0][0].isupper() else word) + found[1]
