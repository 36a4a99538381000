# SPDX-License-Identifier: Apache-2.0
"""What the builder asks of its models. Batches in, results on the CPU out, one for every input.

Images are RGB `PIL.Image`s; boxes are xyxy pixels of the image given, half-open. A result never
depends on what else was in the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL.Image import Image


class BackendError(Exception):
    """A backend cannot be had as it is configured: one line that says what to do."""


class MissingWeights(BackendError):
    """The weights are not where the configuration says, or are not those of such a model."""


class MissingDevice(BackendError):
    """There is no such device where the backend is to run."""


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun phrase; spans count characters of the text, half-open."""

    start: int
    end: int
    head_start: int
    head_end: int
    lemma: str
    """Dictionary form of the head noun, lower case."""


@dataclass(frozen=True, slots=True)
class Detection:
    """A box and the phrase whose tokens it scored."""

    phrase: int
    """Place in the list of phrases that was asked for."""
    box: tuple[float, float, float, float]
    score: float
    """In (0, 1]."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What a box contains."""

    pixels: np.ndarray
    """bool (H, W), the size of the image."""
    score: float
    """The model's own guess of its IoU with the truth."""
    stability: float
    """IoU of the masks cut at logits +1 and -1."""


class Captioner(Protocol):
    """Says what an image shows."""

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One sentence an image."""
        ...


class Tagger(Protocol):
    """Finds the noun phrases of sentences."""

    def noun_phrases(self, texts: Sequence[str]) -> list[list[NounPhrase]]:
        """Phrases in reading order."""
        ...


class Detector(Protocol):
    """Finds what phrases name."""

    def detect(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]], threshold: float
    ) -> list[list[Detection]]:
        """Every box that scores above the threshold, best first; phrases may differ by image."""
        ...


class Segmenter(Protocol):
    """Cuts out what boxes contain."""

    def segment(self, images: Sequence[Image], boxes: Sequence[np.ndarray]) -> list[list[Mask]]:
        """One mask a box; `boxes` holds one float array (N, 4) an image."""
        ...


class Similarity(Protocol):
    """Compares images and texts."""

    def similarity(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """Cosine in [-1, 1] of each image with the text of the same place."""
        ...
