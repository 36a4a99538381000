# SPDX-License-Identifier: Apache-2.0
"""A sample's entities: masks, boxes, spans and label map must tell the same story."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from pipeline.dataset.run_lengths import decode_run_lengths

Entity = dict[str, Any]
Finding = tuple[str, int, str]
_ROUNDING = 1e-5


def check_entities(row: dict[str, Any]) -> Iterator[Finding]:
    """Everything about a row's entities and nouns that contradicts itself."""
    entities = row["entities"] or []
    if [entity["id"] for entity in entities] != list(range(1, len(entities) + 1)):
        yield "json", 0, "the entities' ids are not 1 to n"
    scores = [entity["det_score"] for entity in entities]
    if not all(score is not None and 0 < score <= 1 for score in scores) or scores != sorted(
        scores, reverse=True
    ):
        yield "json", 0, "det_score is not in (0, 1] and falling from entity to entity"
    for entity in entities:
        checks = (_check_mask, _check_box, _check_container)
        for what in (what for check in checks for what in check(entity, row)):
            yield "json", 0, f"entity {entity['id']}: {what}"
    nouns = row["nouns"] or []
    quotes = [(phrase["text"], phrase["span"]) for phrase in [*entities, *nouns]]
    for text, span in quotes + [(noun["head"], noun["head_span"]) for noun in nouns]:
        if not _is_quoted(text, span, row["caption"] or ""):
            yield "json", 0, f"{text!r} is not what the caption says at {span}"


def check_label_map(row: dict[str, Any], image: Image.Image) -> Iterator[str]:
    """What is wrong with a label map, given the run lengths that it was painted from."""
    if image.mode != "L" or image.size != (row["width"], row["height"]):
        yield f"the label map is {image.mode}, {image.width} x {image.height} pixels"
        return
    found, expected = np.asarray(image), np.zeros((row["height"], row["width"]), np.uint8)
    # Lower ids have higher scores and are in front.
    for entity in sorted(row["entities"] or [], key=lambda entity: -entity["id"]):
        try:
            expected[_mask(entity, row)] = entity["id"]
        except ValueError:
            return
    if wrong := int((found != expected).sum()):
        yield f"the label map differs from the masks in {wrong} pixels"


def _mask(entity: Entity, row: dict[str, Any]) -> np.ndarray:
    rle = entity["rle"]
    if rle is None or rle["size"] != [row["height"], row["width"]]:
        raise ValueError(f"the mask is not one of {row['width']} x {row['height']} pixels")
    return decode_run_lengths(rle["counts"], row["height"], row["width"])


def _check_mask(entity: Entity, row: dict[str, Any]) -> Iterator[str]:
    try:
        mask = _mask(entity, row)
    except ValueError as error:
        yield str(error)
        return
    if int(mask.sum()) != entity["area"]:
        yield f"area is {entity['area']}, the mask has {int(mask.sum())} pixels"
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tight = [int(v) for v in (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)] if len(xs) else [0, 0, 0, 0]
    if entity["mask_box"] != tight:
        yield f"mask_box is {entity['mask_box']}, the mask's box is {tight}"


def _check_box(entity: Entity, row: dict[str, Any]) -> Iterator[str]:
    box = entity["box"] or []
    if len(box) != 4 or not (0 <= box[0] < box[2] <= row["width"] and 0 <= box[1] < box[3] <= row["height"]):
        yield f"the box {box} is not one inside {row['width']} x {row['height']} pixels"
        return
    share = min((entity["area"] or 0) / max((box[2] - box[0]) * (box[3] - box[1]), 1.0), 1.0)
    if entity["fill"] is not None and abs(entity["fill"] - share) > _ROUNDING:
        yield f"fill is {entity['fill']:.4g}, the mask has {share:.4g} of its box's area"


def _check_container(entity: Entity, row: dict[str, Any]) -> Iterator[str]:
    others = {other["id"] for other in row["entities"]} - {entity["id"]}
    if entity["contained_in"] not in {None, -1, *others}:
        yield f"contained_in is {entity['contained_in']}, which is no other entity"


def _is_quoted(text: str | None, span: list[int] | None, caption: str) -> bool:
    if span is None or len(span) != 2 or not 0 <= span[0] < span[1] <= len(caption):
        return False
    return caption[span[0] : span[1]] == text
