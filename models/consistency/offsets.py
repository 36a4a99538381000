# SPDX-License-Identifier: Apache-2.0
"""Offsets of a subject's words, added to the states of a text where these words stand.

Shapes: B prompts, L tokens, D width of a state, T tokens of all words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.consistency.words import WordNotFound, encoded_prompt, spans_of_any


class Places(NamedTuple):
    """Where offsets go, one entry a token."""

    row: Tensor
    """int64, of the prompt."""
    token: Tensor
    """int64, in it."""
    offset: Tensor
    """int64, which of the T."""

    def to(self, device: torch.device) -> Places:
        """The same there."""
        return Places(*(each.to(device) for each in self))

    def of(self, rows: Sequence[int]) -> Places:
        """Where words stand in some of the prompts, in any order; those are numbered anew."""
        found = [(self.row == row).nonzero()[:, 0] for row in rows]
        which = torch.cat(found)
        anew = torch.cat([torch.full_like(some, place) for place, some in enumerate(found)])
        return Places(anew, self.token[which], self.offset[which])


def word_sizes(tokenizer: Any, words: Sequence[str]) -> list[int]:
    """Tokens of each word."""
    return [len(tokenizer(word, add_special_tokens=False).input_ids) for word in words]


def places_of(pipe: Any, prompts: Sequence[str], words: Sequence[str]) -> Places:
    """Of the occurrences of the words; of a plural with more tokens the last offset is taken again.

    Raises:
        WordNotFound: a prompt has none of the words.
    """
    sizes, found = word_sizes(pipe.tokenizer, words), []
    for row, prompt in enumerate(prompts):
        for number, occurrences in enumerate(own_spans(pipe, prompt, words)):
            begin, last = sum(sizes[:number]), sizes[number] - 1
            for occurrence in occurrences:
                found += [(row, token, begin + min(k, last)) for k, token in enumerate(occurrence)]
    return Places(*torch.tensor(found, dtype=torch.int64).reshape(-1, 3).T)


def own_spans(pipe: Any, prompt: str, words: Sequence[str]) -> list[list[list[int]]]:
    """For each word its spans: all there are; of a word that is there more than once one after the other.

    So two dogs of which each is a subject are the first and the second dog of the prompt.

    Raises:
        WordNotFound: the prompt has none of the words.
    """
    spans = spans_of_any(pipe.tokenizer, encoded_prompt(pipe, prompt), words)
    turn: Counter[str] = Counter()
    plain = [word.casefold() for word in words]
    for number, word in enumerate(plain):
        if plain.count(word) > 1:
            if 0 < len(spans[number]) < plain.count(word):
                raise WordNotFound(
                    f"the prompt {prompt!r} has {words[number]!r} {len(spans[number])} times for "
                    f"{plain.count(word)} subjects; name each of them, or none"
                )
            spans[number] = spans[number][turn[word] : turn[word] + 1]
            turn[word] += 1
    taken = Counter(token for some in spans for span in some for token in span)
    if any(count > 1 for count in taken.values()):
        raise ValueError(f"in the prompt {prompt!r} words of several subjects overlap: {', '.join(words)}")
    return spans


def with_offsets(states_BLD: Tensor, places: Places, offsets: Tensor) -> Tensor:
    """The states with offsets added, all other rows as they are; differentiable in the offsets.

    Args:
        states_BLD: of the prompts.
        places: see `places_of`.
        offsets: (T, D) for all prompts, or (B, T, D) for each its own.
    """
    places = places.to(states_BLD.device)
    chosen = offsets[places.offset] if offsets.ndim == 2 else offsets[places.row, places.offset]
    added = states_BLD[places.row, places.token] + chosen.to(states_BLD)
    return states_BLD.index_put((places.row, places.token), added)
