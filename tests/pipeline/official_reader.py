# SPDX-License-Identifier: Apache-2.0
"""What Subject-Diffusion's own training loader does with a sample: which members it reads, which
subjects it accepts, and which pixels it takes for a subject's mask."""

from typing import Any

import numpy as np

MAX_WHITE, MIN_SCORE, MIN_FILL = 0.1, 0.3, 0.6
AREA, ASPECT, VALUES = (0.08, 0.7), (0.3, 3.0), (2, 5)


def accepted(sample: dict[str, Any]) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The subjects that the loader would train on, each with its mask, bool (H, W).

    Args:
        sample: `jpg` and `png` as arrays, `json` as a dict, `txt` as a string.
    """
    pixels_HWC, labels_HW, record = sample["jpg"] / 255, sample["png"], sample["json"]
    assert isinstance(sample["txt"], str)
    assert labels_HW.shape == pixels_HWC.shape[:2]
    if (pixels_HWC > 0.9).all(-1).mean() > MAX_WHITE:
        return []
    assert record["mask"][0] == {"value": 0, "label": "background"}
    found = []
    for place, entry in enumerate(record["mask"][1:]):
        assert entry["value"] == place + 1
        if mask := _mask(entry, labels_HW, record["caption"]):
            found.append((entry, mask[0]))
    return found


def _mask(entry: dict[str, Any], labels_HW: np.ndarray, caption: str) -> tuple[np.ndarray] | None:
    left, top, right, bottom = (round(value) for value in entry["box"])
    width, height = right - left, bottom - top
    area, crop = width * height, labels_HW[top:bottom, left:right]
    fits = (
        AREA[0] < area / labels_HW.size < AREA[1]
        and ASPECT[0] < width / height < ASPECT[1]
        and entry["logit"] > MIN_SCORE
        and " " not in entry["label"]
        and entry["label"] in caption
    )
    values, counts = np.unique(crop, return_counts=True)
    if not fits or not VALUES[0] <= len(values) <= VALUES[1] or counts.max() < MIN_FILL * area:
        return None
    # It takes the smallest value in the box for the background.
    value = values[1:][counts[1:].argmax()]
    mask = labels_HW == value
    return (mask,) if mask.sum() <= area else None
