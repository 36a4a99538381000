# SPDX-License-Identifier: Apache-2.0
"""What a contender wrote, and in how many samples that is something else than another wrote."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import webdataset as wds
from pycocotools import mask as coco_mask

_PIXELS, _OVERLAP = 1.0, 0.95
"""How far the sides of a box may be apart, and the least that masks have in common (intersection over union):
a batch's size changes the last bits of a sum."""


class Subject(NamedTuple):
    """One of a sample."""

    lemma: str
    box: tuple[float, ...]
    rle: dict[str, Any]


class Content(NamedTuple):
    """A sample."""

    caption: str
    subjects: tuple[Subject, ...]


def contents(folder: Path) -> dict[str, Content]:
    """Of all tars below a folder, by the name of the picture."""
    found = {}
    for tar in sorted(folder.rglob("*.tar")):
        samples: Any = wds.compat.WebDataset(str(tar), shardshuffle=False, empty_check=False)
        for sample in samples:
            record = json.loads(sample["json"])
            subjects = (Subject(e["lemma"], tuple(e["box"]), e["rle"]) for e in record["entities"])
            found[record["source_key"]] = Content(record["caption"], tuple(subjects))
    return found


def unlike(some: Mapping[str, Content], others: Mapping[str, Content]) -> int:
    """Samples that only one of them has, or that say something else: another caption, another subject, a box
    or a mask that lies elsewhere."""
    both = some.keys() & others.keys()
    alone = len(some.keys() ^ others.keys())
    return alone + sum(not _alike(some[key], others[key]) for key in both)


def _alike(one: Content, other: Content) -> bool:
    if one.caption != other.caption or len(one.subjects) != len(other.subjects):
        return False
    return all(map(_same_subject, one.subjects, other.subjects))


def _same_subject(one: Subject, other: Subject) -> bool:
    near = np.allclose(one.box, other.box, rtol=0, atol=_PIXELS)
    overlap = np.asarray(coco_mask.iou([one.rle], [other.rle], [0]))  # pyright: ignore[reportArgumentType]
    return one.lemma == other.lemma and near and float(overlap.item()) >= _OVERLAP
