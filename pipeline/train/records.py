# SPDX-License-Identifier: Apache-2.0
"""One sample as a training wants it, from this project's shards or from those of the official code.

Shapes: H rows and W columns of pixels.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pipeline.dataset.run_lengths import decode_run_lengths
from pipeline.train.captions import Phrase
from pipeline.train.selection import Box, Candidate
from stages.parse import parse_json

Members = Mapping[str, bytes]
"""A sample's files by extension."""


class BadRecord(ValueError):
    """A sample that cannot be trained on, and why."""


@dataclass(frozen=True, slots=True)
class Record:
    """A picture, what it shows in words, and its entities."""

    image: Image.Image
    """RGB."""
    caption: str
    candidates: tuple[Candidate, ...]
    phrases: tuple[Phrase, ...] = ()
    """Of the caption, where the layout records them."""


def record_of(members: Members) -> Record:
    """Parse a sample of any known layout.

    Raises:
        BadRecord: a member is missing or damaged, or fits no layout.
    """
    for member in ("jpg", "json"):
        if member not in members:
            raise BadRecord(f"no {member}")
    try:
        fields = parse_json(members["json"])
        with Image.open(io.BytesIO(members["jpg"])) as opened:
            image = opened.convert("RGB")
        return _record(image, fields, members)
    except BadRecord:
        raise
    except Exception as error:  # damaged pictures and records raise anything
        raise BadRecord(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def _record(image: Image.Image, fields: Any, members: Members) -> Record:
    if not isinstance(fields, dict):
        raise BadRecord("the json is no object")
    if "entities" in fields:
        candidates = _from_run_lengths(fields)
    elif "mask" in fields:
        candidates = _from_labels(fields["mask"], _label_map(members, image))
    elif "bboxes" in fields and "cat_names" in fields:
        candidates = _from_boxes(fields, _label_map(members, image))
    else:
        raise BadRecord("the json has neither entities, nor mask, nor bboxes")
    caption = fields.get("caption") or members.get("txt", b"").decode()
    found = tuple(candidates)
    for candidate in found:
        if candidate.mask_HW.shape != (image.height, image.width):
            raise BadRecord(f"a mask of {candidate.mask_HW.shape[::-1]} in a picture of {image.size}")
    return Record(image, str(caption), found, tuple(map(_phrase, fields.get("nouns", ()))))


def _phrase(noun: Any) -> Phrase:
    return Phrase(str(noun["lemma"]), int(noun["span"][0]), int(noun["head_span"][0]))


def _from_run_lengths(fields: dict[str, Any]) -> Iterator[Candidate]:
    """This project's: masks with their overlaps, labels as the detector was asked for them."""
    labels = {entry["value"]: entry["label"] for entry in fields["mask"]}
    for entity in fields["entities"]:
        height, width = entity["rle"]["size"]
        mask_HW = decode_run_lengths(entity["rle"]["counts"], height, width).astype(bool)
        yield Candidate(str(labels[entity["id"]]), _box(entity["box"]), float(entity["det_score"]), mask_HW)


def _from_labels(entries: list[dict[str, Any]], labels_HW: np.ndarray) -> Iterator[Candidate]:
    """The official code's: an entry each with its value in the label map, the background first."""
    for entry in entries:
        if entry["value"]:
            mask_HW = labels_HW == int(entry["value"])
            yield Candidate(str(entry["label"]), _box(entry["box"]), float(entry["logit"]), mask_HW)


def _from_boxes(fields: dict[str, Any], labels_HW: np.ndarray) -> Iterator[Candidate]:
    """The official code's second layout, without scores: larger ones come first."""
    boxes = [_box(box) for box in fields["bboxes"]]
    largest = max(((b[2] - b[0]) * (b[3] - b[1]) for b in boxes), default=1.0)
    for value, (box, name) in enumerate(zip(boxes, fields["cat_names"], strict=True), start=1):
        share = (box[2] - box[0]) * (box[3] - box[1]) / largest
        # Above any threshold, and in the order of the areas.
        yield Candidate(str(name), box, 0.5 + share / 2, labels_HW == value)


def _label_map(members: Members, image: Image.Image) -> np.ndarray:
    if "png" not in members:
        raise BadRecord("no png")
    with Image.open(io.BytesIO(members["png"])) as opened:
        if opened.mode not in ("L", "P"):
            raise BadRecord(f"the label map's mode is {opened.mode}, not L or P")
        labels_HW = np.asarray(opened)
    if labels_HW.shape != (image.height, image.width):
        raise BadRecord(f"a label map of {labels_HW.shape[::-1]} for a picture of {image.size}")
    return labels_HW


def _box(values: Any) -> Box:
    x0, y0, x1, y1 = map(float, values)
    return x0, y0, x1, y1
