# SPDX-License-Identifier: Apache-2.0
"""Choosing subjects among a sample's entities, with a reason for every one that is not chosen.

Shapes: H rows and W columns of pixels.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.train.rules import Fill, Rules, Words

Box = tuple[float, float, float, float]
"""xyxy in pixels, half-open."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entity of a sample."""

    label: str
    box: Box
    score: float
    mask_HW: np.ndarray
    """bool, of the whole picture; overlaps with others are in it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Who is chosen, best first, and why the others are not."""

    chosen: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    """One for each that is not."""


def area_of(box: Box) -> float:
    """In square pixels; 0 for what is no box."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def white_fraction(image_HWC: np.ndarray) -> float:
    """Share of pixels with all channels above 0.9 of the largest value.

    Args:
        image_HWC: uint8 RGB.
    """
    return float((image_HWC > 0.9 * 255).all(axis=-1).mean())


def select(caption: str, candidates: Sequence[Candidate], rules: Rules) -> Selection:
    """Those that a training may use, in falling score, at most `max_subjects`.

    Args:
        caption: of the picture.
        candidates: all of its entities.
        rules: what makes a subject.
    """
    fit, reasons = [], []
    counts_all = rules.values is not None or rules.fill_counts == Fill.dominant
    labels_HW = label_map(candidates) if counts_all and candidates else None
    for candidate in sorted(candidates, key=lambda each: -each.score):
        reason = next(_objections(caption, candidate, labels_HW, rules), None)
        if reason is None and any(
            _one_in_the_other(candidate.box, other.box) > rules.containment for other in fit
        ):
            reason = "contained"
        if reason is None:
            fit.append(candidate)
        else:
            reasons.append(reason)
    surplus = ["one_too_many"] * len(fit[rules.max_subjects :])
    return Selection(tuple(fit[: rules.max_subjects]), (*reasons, *surplus))


def _objections(
    caption: str, candidate: Candidate, labels_HW: np.ndarray | None, rules: Rules
) -> Iterator[str]:
    """Reasons not to use a candidate, in the order in which they are looked for."""
    height, width = candidate.mask_HW.shape
    x0, y0, x1, y1 = candidate.box
    area = area_of(candidate.box)
    if not area:
        yield "no_area"
        return
    if not rules.area[0] < area / (width * height) < rules.area[1]:
        yield "area"
    if not rules.ratio[0] < (x1 - x0) / (y1 - y0) < rules.ratio[1]:
        yield "ratio"
    if candidate.score <= rules.score:
        yield "score"
    if rules.one_word and " " in candidate.label:
        yield "several_words"
    if not in_caption(candidate.label, caption, rules.words):
        yield "not_in_caption"
    yield from _objections_to_mask(candidate, labels_HW, rules)


def _objections_to_mask(candidate: Candidate, labels_HW: np.ndarray | None, rules: Rules) -> Iterator[str]:
    if not candidate.mask_HW.any():
        yield "empty_mask"
    inside = cut(candidate.mask_HW, candidate.box)
    filled = int(inside.sum())
    if labels_HW is not None:
        counts = np.unique(cut(labels_HW, candidate.box), return_counts=True)[1]
        if rules.values is not None and not rules.values[0] <= len(counts) <= rules.values[1]:
            yield "values"
        if rules.fill_counts == Fill.dominant:
            filled = int(counts.max(initial=0))
    if filled < rules.fill * inside.size:
        yield "fill"
    if candidate.mask_HW.sum() > area_of(candidate.box):
        yield "mask_exceeds_box"


def label_map(candidates: Sequence[Candidate]) -> np.ndarray:
    """Whose each pixel is, int64 (H, W): 0 is nobody's, and higher scores lie on top."""
    labels_HW = np.zeros(candidates[0].mask_HW.shape, np.int64)
    for value, each in enumerate(sorted(candidates, key=lambda each: each.score), start=1):
        labels_HW[each.mask_HW] = value
    return labels_HW


def cut(values_HW: np.ndarray, box: Box) -> np.ndarray:
    """The pixels that a box touches."""
    x0, y0 = int(np.floor(max(0, box[0]))), int(np.floor(max(0, box[1])))
    return values_HW[y0 : int(np.ceil(box[3])), x0 : int(np.ceil(box[2]))]


def in_caption(label: str, caption: str, words: Words) -> bool:
    """Whether a caption has a label in it."""
    if words == Words.substring:
        return label in caption
    return re.search(rf"(?<!\w){re.escape(label)}(?!\w)", caption, re.IGNORECASE) is not None


def _one_in_the_other(one: Box, other: Box) -> float:
    """The common area over the smaller one's."""
    common = area_of(
        (max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3]))
    )
    return common / min(area_of(one), area_of(other))
