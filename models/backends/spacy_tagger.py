# SPDX-License-Identifier: Apache-2.0
"""Noun phrases by a spaCy pipeline: its `noun_chunks`, cut to what names a thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from models.backends.protocols import MissingWeights, NounPhrase, Tagger
from models.backends.weights import located

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span


@dataclass(frozen=True, kw_only=True)
class SpacyTagger:
    """A spaCy pipeline with a tagger and a parser."""

    model: str = "en_core_web_sm"
    """Installed package, local folder, or `miniature:tagger`."""
    proper_nouns: bool = False
    """Whether a proper noun (`PROPN`) may head a phrase."""

    def check(self) -> None:
        """See that the pipeline is there, without loading it.

        Raises:
            MissingWeights: if it is neither a folder nor an installed package.
        """
        place = located(self.model)
        if not Path(place).is_dir() and find_spec(place) is None:
            hint = f"install it with `python -m spacy download {self.model}`, or give `model:` a folder"
            raise MissingWeights(f"no spaCy pipeline '{self.model}': {hint}")

    def load(self) -> Tagger:
        """Load the pipeline.

        Raises:
            MissingWeights: if it is neither a folder nor an installed package.
        """
        import spacy

        self.check()
        nlp = spacy.load(located(self.model), exclude=["ner"])
        return _Loaded(nlp, {"NOUN", "PROPN"} if self.proper_nouns else {"NOUN"})


class _Loaded:
    def __init__(self, nlp: Language, heads: set[str]) -> None:
        self._nlp, self._heads = nlp, heads

    def noun_phrases(self, texts: Sequence[str]) -> list[list[NounPhrase]]:
        return [self._phrases(doc) for doc in self._nlp.pipe(texts)]

    def _phrases(self, doc: Doc) -> list[NounPhrase]:
        chunks = (chunk for chunk in doc.noun_chunks if chunk.root.pos_ in self._heads)
        return [_phrase(chunk) for chunk in chunks]


def _phrase(chunk: Span) -> NounPhrase:
    """The chunk up to its head, without a leading article, preposition or verb."""
    head = chunk.root
    words = [token for token in chunk if token.i <= head.i]
    while words[0].i < head.i and words[0].pos_ in {"DET", "PRON", "ADP", "VERB", "PUNCT", "CCONJ"}:
        words = words[1:]
    lemma = (head.lemma_ or head.text).lower()
    return NounPhrase(words[0].idx, head.idx + len(head), head.idx, head.idx + len(head), lemma)
