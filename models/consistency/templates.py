# SPDX-License-Identifier: Apache-2.0
"""Sentences that a word is learnt in, by kind of subject; our own."""

from collections.abc import Sequence
from typing import Literal

Kind = Literal["character", "object", "style"]


def check_captions(captions: Sequence[str] | None) -> None:
    """See that sentences of one's own have a place for the word.

    Raises:
        ValueError: there is none, or one has not just one {}.
    """
    if captions is not None and (not captions or any(caption.count("{}") != 1 for caption in captions)):
        raise ValueError("captions need {} once each, where the word goes")


SENTENCES: dict[Kind, tuple[str, ...]] = {
    "character": (
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
    ),
    "object": (
        "a photo of a {}",
        "a close photo of a {}",
        "a photo of one {}",
        "a sharp photo of a {}",
        "a blurry photo of a {}",
        "a dark photo of a {}",
        "a bright photo of a {}",
        "a clean {}",
        "an old {}",
        "a {} on a table",
        "a {} on the floor",
        "a {} from above",
        "a {} from the side",
        "a {} in the distance",
        "a large {}",
        "a small {}",
        "a fine {}",
        "a strange {}",
        "a rendering of a {}",
        "a drawing of a {}",
        "a picture of the {}",
        "a picture of my {}",
        "my {} at home",
        "the {} outside",
        "the {} inside",
        "here is a {}",
        "this is the {}",
    ),
    "style": (
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
    ),
}
