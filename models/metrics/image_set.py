# SPDX-License-Identifier: Apache-2.0
"""What a metric looks at: the pictures that one method drew of its subjects with one seed.

Shapes: H, W pixels of a picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL.Image import Image

Scores = dict[str, float]
"""Values by name; a picture lacks what cannot be told of it."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture and where the subjects are in it."""

    image: Image
    """RGB."""
    masks: tuple[np.ndarray | None, ...]
    """bool (H, W) for each subject; None where it was not found."""


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures of the same subjects, one a prompt."""

    words: tuple[str, ...]
    """What prompts call the subjects."""
    prompts: tuple[str, ...]
    pictures: tuple[Pictured, ...]
    """As many as prompts."""
    references: tuple[tuple[Pictured, ...], ...] = ()
    """Given pictures of each subject, each with its mask alone; none where a subject was not given."""
    truth: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)
    """What is known of each picture of the miniature's world; see `models.metrics.judge`."""
    style: tuple[Image, ...] = ()
    """Given pictures of the style, where there is one."""


class Measure(Protocol):
    """A metric with its weights."""

    def __call__(self, images: ImageSet) -> Sequence[Scores]:
        """Values of each picture.

        `*_pairs` is the mean over the set's other pictures, `*_reference` the mean over given ones,
        `*_style` the mean over those of the style.
        """
        ...
