# SPDX-License-Identifier: Apache-2.0
"""What a training step sees of one sample: picture, words, subjects, all in one frame.

Shapes: S x S pixels of the picture, K subjects, R x R pixels of a reference, C = 3 channels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.subject_diffusion.options import Background
from pipeline.train.captions import bare
from pipeline.train.geometry import square_crop
from pipeline.train.records import BadRecord, Record
from pipeline.train.reference import augmented, cut_out, upon
from pipeline.train.rules import Rules
from pipeline.train.selection import Box, Candidate, area_of, select, white_fraction

_OFFICIAL_SIDE = 512


@dataclass(frozen=True, slots=True)
class Frame:
    """Sizes, and what references look like."""

    pixels: int = 512
    """S."""
    reference_pixels: int = 224
    """R."""
    background: Background = Background.white


@dataclass(frozen=True, slots=True)
class Example:
    """One sample, ready; subjects in falling score."""

    image_SSC: np.ndarray
    """uint8 RGB."""
    caption: str
    labels: tuple[str, ...]
    box_K4: np.ndarray
    """float32, xyxy in [0, 1] of the picture's sides."""
    mask_KSS: np.ndarray
    """bool."""
    reference_KRRC: np.ndarray
    """uint8 RGB."""


class Unusable(ValueError):
    """A sample without a subject to train on; the message is the reason."""


def example_of(
    record: Record,
    rules: Rules,
    frame: Frame,
    rng: np.random.Generator,
    other: Callable[[], Image.Image],
    bare_captions: float = 0.0,
) -> Example:
    """A sample as the rules and the dice want it.

    Args:
        record: the sample.
        rules: which entities are subjects.
        frame: sizes.
        rng: says where the picture is cut, and how references are changed.
        other: gives another picture, for references that are not to be on white.
        bare_captions: how often the caption does not say what subjects look like.

    Raises:
        Unusable: no entity is a subject, before the crop or after it.
    """
    if white_fraction(np.asarray(record.image)) > rules.white:
        raise Unusable("white_background")
    chosen = select(record.caption, record.candidates, rules)
    if not chosen.chosen:
        raise Unusable(chosen.reasons[0] if chosen.reasons else "no_entity")
    boxes = [candidate.box for candidate in record.candidates]
    crop = square_crop(*record.image.size, boxes, frame.pixels, rng)
    kept = [
        (candidate, box, mask_SS)
        for candidate in chosen.chosen
        for box, mask_SS in [(crop.of_box(candidate.box), crop.of_mask(candidate.mask_HW))]
        if _stays(box, mask_SS, rules)
    ]
    if not kept:
        raise Unusable("cropped_away")
    references = [_reference(record.image, candidate, frame, rng, other) for candidate, _, _ in kept]
    labels = tuple(candidate.label for candidate, _, _ in kept)
    # The last draw, and none where it is not needed: whatever else is drawn stays as it was.
    plain = bool(bare_captions) and rng.random() < bare_captions
    return Example(
        image_SSC=np.asarray(crop.of_image(record.image)),
        caption=bare(record.caption, record.phrases, labels) if plain else record.caption,
        labels=labels,
        box_K4=np.array([box for _, box, _ in kept], np.float32) / frame.pixels,
        mask_KSS=np.stack([mask_SS for _, _, mask_SS in kept]),
        reference_KRRC=np.stack([np.asarray(reference) for reference in references]),
    )


def _stays(box: Box, mask_SS: np.ndarray, rules: Rules) -> bool:
    """Whether enough of a subject is left after the crop."""
    scale = (_OFFICIAL_SIDE / len(mask_SS)) ** 2
    width, height = box[2] - box[0], box[3] - box[1]
    if area_of(box) * scale <= rules.cropped_area or not mask_SS.any():
        return False
    return rules.ratio[0] < height / width < rules.ratio[1]


def _reference(
    image: Image.Image,
    candidate: Candidate,
    frame: Frame,
    rng: np.random.Generator,
    other: Callable[[], Image.Image],
) -> Image.Image:
    try:
        square = cut_out(image, candidate.mask_HW, candidate.box)
    except ValueError as error:
        raise BadRecord(f"{candidate.label!r}: {error}") from error
    white = frame.background == Background.white
    if frame.background == Background.mix:
        white = rng.random() < 0.5
    shown = square.convert("RGB") if white else upon(square, other(), frame.reference_pixels, rng)
    return augmented(shown, frame.reference_pixels, rng)
