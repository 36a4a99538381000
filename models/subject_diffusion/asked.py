# SPDX-License-Identifier: Apache-2.0
"""What is asked of a finished model: prompts, each with its subjects and where they are to be.

Shapes: B pictures, K subjects, R x R pixels of a reference, 3 colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.subject_diffusion.conditions import References
from models.subject_diffusion.placing import Box, checked, usual_boxes
from models.subject_diffusion.subject_encoder import Normalise, SubjectEncoder, squared


@dataclass(frozen=True, slots=True)
class Asked:
    """The subjects of one prompt."""

    pictures: list[Image.Image]
    """Cut out: RGBA, or RGB on white."""
    labels: list[str]
    boxes: list[Box]


def asked(count: int, references: Any, labels: Any, boxes: Any) -> list[Asked]:
    """Of each of `count` prompts.

    Args:
        count: prompts.
        references: pictures for all prompts, or a list of them for each.
        labels: what they are, in the same order.
        boxes: where they are to be, in the same order; None for the usual places.

    Raises:
        ValueError: something is missing, or too much.
    """
    if not len(references):
        raise ValueError("no reference; give one at least, or use a text-to-image model")
    if isinstance(references[0], Image.Image):
        return [_one(references, labels, boxes)] * count
    if not len(references) == len(labels) == count or (boxes is not None and len(boxes) != count):
        raise ValueError(f"{count} prompts: give as many lists of references, of labels and of boxes")
    places = [None] * count if boxes is None else boxes
    return [_one(*each) for each in zip(references, labels, places, strict=True)]


def _one(pictures: Sequence[Image.Image], labels: Sequence[str], boxes: Any) -> Asked:
    if not pictures or len(pictures) != len(labels):
        raise ValueError(f"{len(pictures)} references and {len(labels)} labels; give a label for each")
    usual = usual_boxes(len(pictures)) if boxes is None else boxes
    return Asked([*pictures], [*labels], checked(usual, len(pictures)))


def references_of(
    several: Sequence[Asked],
    encoder: SubjectEncoder,
    normalise: Normalise,
    slots: int,
    device: torch.device,
    dtype: torch.dtype,
) -> References:
    """Subjects as the model is given them, B prompts with K = `slots` places each."""
    blank = Image.new("RGB", (1, 1), "white")
    pictures = [[*each.pictures, *[blank] * (slots - len(each.pictures))] for each in several]
    shown = np.stack([[np.asarray(squared(image, encoder.pixels)) for image in row] for row in pictures])
    cls_BKE, patches_BKPV = encoder(normalise(torch.from_numpy(shown)).to(device))
    nowhere = (0.0, 0.0, 0.0, 0.0)
    boxes = [[*each.boxes, *[nowhere] * (slots - len(each.boxes))] for each in several]
    there = [[place < len(each.labels) for place in range(slots)] for each in several]
    return References(
        cls_BKE.to(dtype),
        patches_BKPV.to(dtype),
        torch.tensor(boxes, device=device),
        torch.tensor(there, device=device),
    )


def nobody(
    count: int, encoder: SubjectEncoder, slots: int, device: torch.device, dtype: torch.dtype
) -> References:
    """For `count` prompts without a subject."""
    return References(
        torch.zeros(count, slots, encoder.image_width, device=device, dtype=dtype),
        torch.zeros(count, slots, encoder.patches, encoder.patch_width, device=device, dtype=dtype),
        torch.zeros(count, slots, 4, device=device),
        torch.zeros(count, slots, dtype=torch.bool, device=device),
    )
