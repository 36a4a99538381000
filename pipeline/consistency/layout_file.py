# SPDX-License-Identifier: Apache-2.0
"""A layout from the command line: a box for each subject, or a JSON file with boxes, masks or colours.

    {"weight": 2.5, "picture": "layout.png",
     "regions": [{"box": [0, 0.3, 0.5, 1]}, {"colour": [255, 0, 0]}, {"mask": "dog.png"}]}

Regions come in the order of the subjects, each perhaps with a `weight` of its own; paths are those beside
the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from models.consistency.cones2.layout import (
    BadLayout,
    Layout,
    layout_of_boxes,
    layout_of_masks,
    layout_of_picture,
)
from pipeline.errors import UserError

_SIDE = 512


def given_layout(path: Path | None, boxes: Sequence[Sequence[float]]) -> Layout | None:
    """What was given, if anything.

    Raises:
        UserError: both were, or it is none.
    """
    if path is not None and boxes:
        raise UserError("--layout and --box exclude one another; give one of them")
    try:
        if boxes:
            return layout_of_boxes([(box[0], box[1], box[2], box[3]) for box in boxes])
        return None if path is None else read_layout(path)
    except BadLayout as error:
        raise UserError(f"the layout: {error}") from error


def read_layout(path: Path) -> Layout:
    """The layout of a file.

    Raises:
        UserError: it cannot be read, or is none.
        BadLayout: a region is empty or outside of the picture.
    """
    try:
        told = json.loads(path.read_text())
        _check_keys(told, {"weight", "picture", "regions"})
        weights = [_weight(each.get("weight", told.get("weight", 2.5))) for each in told["regions"]]
        regions = [_region(each, told, path.parent) for each in told["regions"]]
        if not regions:
            raise ValueError("it has no regions")
    except BadLayout:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--layout {path}: {error}; give JSON with regions that have a box, a colour or a mask"
        ) from error
    return Layout(torch.cat(regions), tuple(weights))


def _weight(value: Any) -> float:
    if not isfinite(weight := float(value)):
        raise ValueError(f"weight is {weight}; it must be a number")
    return weight


def _check_keys(told: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted({*told} - known):
        raise ValueError(f"'{unknown[0]}' is no key; known: {', '.join(sorted(known))}")


def _region(told: Mapping[str, Any], whole: Mapping[str, Any], folder: Path) -> torch.Tensor:
    """Of one subject, bool (1, 512, 512)."""
    _check_keys(told, {"box", "colour", "mask", "weight"})
    if "box" in told:
        x0, y0, x1, y1 = (float(value) for value in told["box"])
        return layout_of_boxes([(x0, y0, x1, y1)]).on((_SIDE, _SIDE))
    if "colour" in told:
        red, green, blue = (int(value) for value in told["colour"])
        if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
            raise ValueError(f"colour is {told['colour']}; its numbers must be in 0 to 255")
        with Image.open(folder / whole["picture"]) as picture:
            return layout_of_picture(picture, [(red, green, blue)]).on((_SIDE, _SIDE))
    with Image.open(folder / told["mask"]) as mask:
        return layout_of_masks([np.asarray(mask.convert("L")) > 127]).on((_SIDE, _SIDE))
