# SPDX-License-Identifier: Apache-2.0
"""Sentences that a word is learnt in, by kind of subject; our own."""

from collections.abc import Sequence

from models.consistency.oneactor.options import Kind

_CHARACTER = (
    "a portrait of a {}",
    "a {} seen from the front",
    "a {} seen from the side",
    "the face of a {}",
    "a close picture of a {}",
    "a {} from far away",
    "a {} standing",
    "a {} sitting",
    "a {} walking",
    "a {} looking into the camera",
    "a {} in bright light",
    "a {} in dim light",
    "a detailed picture of a {}",
    "a colourful picture of a {}",
    "one single {}",
    "a picture that shows a {}",
)
_OBJECT = (
    "a photo of a {}",
    "a close photo of a {}",
    "a photo of one {}",
    "a sharp photo of a {}",
    "a dark photo of a {}",
    "a bright photo of a {}",
    "a clean {}",
    "a {} on a table",
    "a {} on the floor",
    "a {} from above",
    "a {} from the side",
    "a large {}",
    "a small {}",
    "a rendering of a {}",
    "a picture of the {}",
    "a picture of my {}",
)
_STYLE = (
    "a painting in {}",
    "a landscape in {}",
    "a town in {}",
    "a portrait in {}",
    "a still life in {}",
    "a drawing in {}",
    "a dark picture in {}",
    "a bright picture in {}",
    "a close picture in {}",
    "a picture in {}",
)
_ALL: dict[Kind, Sequence[str]] = {"character": _CHARACTER, "object": _OBJECT, "style": _STYLE}


def sentences(kind: Kind, words: Sequence[str]) -> list[str]:
    """Every sentence of a kind about the words, joined by and."""
    subject = " and a ".join(words)
    return [sentence.format(subject) for sentence in _ALL[kind]]
