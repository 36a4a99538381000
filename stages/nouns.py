# SPDX-License-Identifier: Apache-2.0
"""The things a caption names. In: the caption. Out: its noun phrases with their places in it.

Every phrase keeps its character span, so that a box can later be traced to the very words it stands for.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from models.backends.bounds import Count, Tally
from models.backends.protocols import NounPhrase, Tagger
from models.backends.spacy_tagger import SpacyTagger
from stages.backend import Backend
from stages.base import Resources, Stage, TableFunction
from stages.columns import NOUN
from stages.rows import Outcome, Reject, Row, table_function

NOT_DEPICTABLE = (
    "background", "foreground", "view", "photo", "picture", "image", "top", "bottom", "side", "front", "back",
    "middle", "group", "couple", "pair", "bunch", "lot", "close", "part", "time", "day", "way", "love",
    "freedom", "style", "color", "colour",
)  # fmt: skip
"""Nouns that name no subject one could cut out."""


@dataclass(frozen=True, kw_only=True)
class Nouns(Stage):
    """Finds noun phrases and how to ask a detector for them."""

    inputs: ClassVar[tuple[str, ...]] = ("caption",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("nouns", pa.list_(NOUN))])

    tagger: Backend[Tagger] = field(default_factory=SpacyTagger)
    """Which pipeline, and how it runs."""
    min_nouns: Tally = 1
    """Fewer phrases than this reject the sample (Subject-Diffusion's builder: 3)."""
    max_nouns: Count = 8
    """More phrases than this reject it."""
    stop_nouns: tuple[str, ...] = NOT_DEPICTABLE
    """Lemmas that are never asked for."""
    batch_size: Count = 64
    """Captions at a time."""
    resources: Resources | None = None

    def __post_init__(self) -> None:
        """Check what no single field can.

        Raises:
            ValueError: if no number of nouns would do.
        """
        if self.min_nouns > self.max_nouns:
            raise ValueError(f"min_nouns is {self.min_nouns}, more than max_nouns, {self.max_nouns}")

    def setup(self) -> TableFunction:
        """Load the tagger."""
        tagger = self.tagger.load()

        def work(rows: list[Row]) -> list[Outcome]:
            captions = [row["caption"] for row in rows]
            phrases = tagger.noun_phrases(captions)
            return [self._outcome(*pair) for pair in zip(captions, phrases, strict=True)]

        return table_function(self, "nouns", work, self.batch_size)

    def _outcome(self, caption: str, phrases: Sequence[NounPhrase]) -> Outcome:
        kept = [phrase for phrase in phrases if phrase.lemma not in self.stop_nouns]
        nouns = {"nouns": prompted(caption, kept)}
        if len(kept) < self.min_nouns:
            return Reject("too_few_nouns", f"{len(kept)} of at least {self.min_nouns}", nouns)
        if len(kept) > self.max_nouns:
            return Reject("too_many_nouns", f"{len(kept)} of at most {self.max_nouns}", nouns)
        return nouns


def prompted(caption: str, phrases: Sequence[NounPhrase]) -> list[Row]:
    """Noun rows with the words to ask a detector for.

    That is the head noun alone, which detectors know best, unless the caption has several phrases with
    the same noun ("a red cat and a blue cat"): then the whole phrase, to tell them apart.
    """
    count = Counter(phrase.lemma for phrase in phrases)
    rows = []
    for phrase in phrases:
        text = caption[phrase.start : phrase.end]
        head = caption[phrase.head_start : phrase.head_end]
        rows.append(
            {
                "text": text,
                "lemma": phrase.lemma,
                "span": [phrase.start, phrase.end],
                "head": head,
                "head_span": [phrase.head_start, phrase.head_end],
                "prompt": (text if count[phrase.lemma] > 1 else head).lower(),
            }
        )
    return rows
