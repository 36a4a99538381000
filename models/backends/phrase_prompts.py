# SPDX-License-Identifier: Apache-2.0
"""Phrases to prompts: as many as fit a text encoder's length, each knowing which tokens are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SPECIAL = 2
"""[CLS] and [SEP]."""
_SEPARATORS = str.maketrans(".?,", "   ")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A detection prompt such as `cat . red mug .`."""

    text: str
    phrases: list[int]
    """For each phrase its place in the list that was asked for."""
    tokens: list[list[int]]
    """For each phrase the positions of its tokens, [CLS] being 0."""


def packed_prompts(
    phrases: Sequence[str], tokenizer: PreTrainedTokenizerBase, limit: int, separator: str = " . "
) -> list[Prompt]:
    """Pack phrases, in order, into prompts of at most `limit` tokens.

    A phrase that is longer than a whole prompt is cut; one with nothing but punctuation is left out.

    Args:
        separator: what stands between phrases: one token, with or without spaces round it. A dot keeps
            phrases from attending to each other; a comma (`,`) is what Subject-Diffusion's builder used.
    """
    groups: list[list[tuple[int, str, int]]] = []
    room = 0
    for place, phrase in enumerate(phrases):
        text, count = _fitted(phrase, tokenizer, limit - _SPECIAL - 1)
        if not count:
            continue
        if count + 1 > room:
            groups.append([])
            room = limit - _SPECIAL
        groups[-1].append((place, text, count))
        room -= count + 1
    return [_prompt(group, separator) for group in groups]


def _prompt(group: list[tuple[int, str, int]], separator: str) -> Prompt:
    end = " ." if separator.startswith(" ") else "."
    tokens, start = [], 1
    for _, _, count in group:
        tokens.append(list(range(start, start + count)))
        start += count + 1
    return Prompt(
        separator.join(text for _, text, _ in group) + end, [place for place, _, _ in group], tokens
    )


def _fitted(phrase: str, tokenizer: PreTrainedTokenizerBase, limit: int) -> tuple[str, int]:
    """The phrase in lower case, free of the prompt's own separators, and how many tokens it takes."""
    words = phrase.lower().translate(_SEPARATORS).split()
    while words:
        count = len(tokenizer.tokenize(" ".join(words)))
        if count <= limit:
            return " ".join(words), count
        words = words[:-1]
    return "", 0
