# SPDX-License-Identifier: Apache-2.0
"""Where words stand among the tokens of a prompt, for every method that looks at them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


class WordNotFound(ValueError):
    """A prompt does not have a word, or only beyond what the text encoder reads."""


def token_spans(tokenizer: Any, prompt: str, phrase: str) -> list[list[int]]:
    """The places of the tokens of each occurrence of a word or phrase, in order.

    Whole words only, in capitals or not, and their plurals with s or es.

    Args:
        tokenizer: a fast one of transformers.
        prompt: as the pipeline encodes it, see `encoded_prompt`.
        phrase: such as `cat` or `red fox`.

    Raises:
        WordNotFound: there is none, with prompt and phrase.
    """
    ranges = whole_words(prompt, phrase)
    if not ranges:
        raise WordNotFound(
            f"the prompt {prompt!r} does not have {phrase!r}; add it, or name a word that it has"
        )
    found = tokenizer(
        prompt, truncation=True, max_length=tokenizer.model_max_length, return_offsets_mapping=True
    )
    offsets = found["offset_mapping"]
    spans = [
        [place for place, (begin, end) in enumerate(offsets) if begin < last and end > first and end > begin]
        for first, last in ranges
    ]
    whole = [
        span for span, (_, last) in zip(spans, ranges, strict=True) if span and offsets[span[-1]][1] >= last
    ]
    if not whole:
        raise WordNotFound(
            f"in the prompt {prompt!r} {phrase!r} comes after the {tokenizer.model_max_length} tokens that "
            "the text encoder reads; move it to the front"
        )
    return whole


def whole_words(text: str, phrase: str) -> list[tuple[int, int]]:
    """Begin and end of each occurrence of a word or phrase, as `token_spans` has it."""
    return [match.span() for match in _pattern(phrase).finditer(text)]


def spans_of_any(tokenizer: Any, prompt: str, phrases: Sequence[str]) -> list[list[list[int]]]:
    """For each phrase its spans, none where the prompt lacks it.

    Raises:
        WordNotFound: the prompt has none of the phrases.
    """
    found, missing = [], None
    for phrase in phrases:
        try:
            found.append(token_spans(tokenizer, prompt, phrase))
        except WordNotFound as error:
            missing = error
            found.append([])
    if missing is not None and not any(found):
        raise missing
    return found


def encoded_prompt(pipe: Any, prompt: str) -> str:
    """A prompt as the pipeline gives it to its tokenizer: words of a textual inversion may be several."""
    convert = getattr(pipe, "maybe_convert_prompt", None)
    return prompt if convert is None else convert(prompt, pipe.tokenizer)


def _pattern(phrase: str) -> re.Pattern[str]:
    words = phrase.split()
    if not words:
        raise WordNotFound("the subject's word is empty; give one, such as cat")
    return re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?:e?s)?(?!\w)", re.IGNORECASE)
