# SPDX-License-Identifier: Apache-2.0
"""How far the authors' package and transformers are apart on the same pictures, with the same weights.

Shapes: B pictures, Q queries, T tokens, N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from models.backends.grounding_dino import GroundingDino
from models.backends.original.groundingdino_py import GroundingDinoPy
from models.backends.original.segment_anything import SegmentAnything
from models.backends.sam import Sam

LOGITS, BOXES, PIXELS = 1e-4, 1e-5, 1e-5
"""What may differ: logits relative to the greatest, boxes as shares of a side, a share of masks' pixels."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one thing that a model tells."""

    name: str
    found: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether it is within what may differ."""
        return self.found <= self.allowed

    def line(self) -> str:
        """For people."""
        return f"{self.name} differ by {self.found:.1e} at most; {self.allowed:.0e} may be"


def detectors_apart(
    ours: GroundingDino, theirs: GroundingDinoPy, images: Sequence[Image], texts: Sequence[str]
) -> list[Difference]:
    """Of all boxes and tokens, before any threshold.

    Args:
        ours: through transformers.
        theirs: of the authors' package.
        images: pictures.
        texts: a prompt for each, such as `a cat . a dog .`.

    Raises:
        BackendError: one cannot be loaded.
    """
    import torch

    with torch.inference_mode():
        (logits_BQT, box_BQ4), (its_logits_BQT, its_box_BQ4) = (
            each.load().raw(images, texts) for each in (ours, theirs)
        )
    # What lies beyond a prompt's end is minus infinity in both, for as many tokens as each thinks fit.
    most = min(logits_BQT.shape[-1], its_logits_BQT.shape[-1])
    logits_BQT, its_logits_BQT = (
        each[..., :most].nan_to_num(neginf=0.0) for each in (logits_BQT, its_logits_BQT)
    )
    scale = float(its_logits_BQT.abs().max().clamp(min=1e-12))
    return [
        Difference("logits", float((logits_BQT - its_logits_BQT).abs().max()) / scale, LOGITS),
        Difference("boxes", float((box_BQ4 - its_box_BQ4).abs().max()), BOXES),
    ]


def segmenters_apart(
    ours: Sam, theirs: SegmentAnything, images: Sequence[Image], boxes: Sequence[np.ndarray]
) -> list[Difference]:
    """Of all masks and their scores.

    Args:
        ours: through transformers.
        theirs: of the authors' package.
        images: pictures.
        boxes: of each, xyxy pixels, float (N, 4).

    Raises:
        BackendError: one cannot be loaded.
    """
    some, others = (
        [mask for found in each.load().segment(images, boxes) for mask in found] for each in (ours, theirs)
    )
    pairs = [*zip(some, others, strict=True)]
    apart = sum(int((one.pixels != other.pixels).sum()) for one, other in pairs)
    pixels = sum(one.pixels.size for one, _ in pairs)
    return [
        Difference("masks, as a share of their pixels,", apart / pixels, PIXELS),
        Difference("scores", max(abs(one.score - other.score) for one, other in pairs), LOGITS),
    ]


def apart(
    kind: str, folder: Path, checkpoint: Path, text: str, decoder_heads: int, image: Image
) -> list[Difference]:
    """A converted folder and its checkpoint on one picture.

    Raises:
        BackendError: one cannot be loaded, such as where the authors' package is not installed.
    """
    common: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
    if kind == "grounding_dino":
        theirs = GroundingDinoPy(model=str(checkpoint), text=text, **common)
        return detectors_apart(
            GroundingDino(model=str(folder), **common), theirs, [image], ["a cat . a red mug . a dog ."]
        )
    width, height = image.size
    boxes = np.array([[0.2, 0.2, 0.8, 0.8], [0.0, 0.1, 0.5, 0.9]]) * np.array([width, height] * 2)
    theirs = SegmentAnything(model=str(checkpoint), decoder_heads=decoder_heads, **common)
    return segmenters_apart(Sam(model=str(folder), **common), theirs, [image], [boxes])
