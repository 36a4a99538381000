# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of boxes: xyxy pixels, half-open. Shapes: N and M boxes."""

import numpy as np


def areas(box_N4: np.ndarray) -> np.ndarray:
    """Area of each box, (N,)."""
    return (box_N4[:, 2] - box_N4[:, 0]) * (box_N4[:, 3] - box_N4[:, 1])


def intersections(box_N4: np.ndarray, other_M4: np.ndarray) -> np.ndarray:
    """Area that each pair shares, (N, M)."""
    low = np.maximum(box_N4[:, None, :2], other_M4[None, :, :2])
    high = np.minimum(box_N4[:, None, 2:], other_M4[None, :, 2:])
    return (high - low).clip(min=0).prod(axis=-1)


def ious(box_N4: np.ndarray, other_M4: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair, (N, M)."""
    shared = intersections(box_N4, other_M4)
    union = areas(box_N4)[:, None] + areas(other_M4)[None] - shared
    return shared / np.maximum(union, 1e-9)


def suppressed(box_N4: np.ndarray, label_N: np.ndarray, same: float, across: float) -> list[int]:
    """Greedy non-maximum suppression of boxes that are sorted best first.

    Args:
        box_N4: the boxes.
        label_N: what each is said to show.
        same: a box goes if its IoU with a better one of the same label is above this.
        across: the same for a better one of another label.

    Returns:
        Places of the boxes that stay, in order.
    """
    iou_NN = ious(box_N4, box_N4)
    kept: list[int] = []
    for place in range(len(box_N4)):
        limits = (same if label_N[place] == label_N[better] else across for better in kept)
        if all(iou_NN[place, better] <= limit for better, limit in zip(kept, limits, strict=True)):
            kept.append(place)
    return kept


def containers(box_N4: np.ndarray, share: float) -> list[int]:
    """For each box the first other, larger box that holds more than `share` of it, or -1."""
    area_N = areas(box_N4)
    held_NN = intersections(box_N4, box_N4) / np.maximum(area_N[:, None], 1e-9)
    holds_NN = (held_NN > share) & (area_N[None] > area_N[:, None])
    return [int(row.argmax()) if row.any() else -1 for row in holds_NN]
