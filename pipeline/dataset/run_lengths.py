# SPDX-License-Identifier: Apache-2.0
"""COCO run lengths read by the format's definition.

The writer uses pycocotools; a checker that used it too would agree with it about anything.
"""

import numpy as np


def decode_run_lengths(counts: str, height: int, width: int) -> np.ndarray:
    """The mask, bool (height, width).

    Raises:
        ValueError: if it is not a mask of this size.
    """
    runs = _runs(counts)
    if sum(runs) != height * width:
        raise ValueError(f"run lengths add up to {sum(runs)}, not to {width} x {height} pixels")
    ones = np.arange(len(runs)) % 2 == 1
    return np.repeat(ones, runs).reshape((height, width), order="F")


def _runs(counts: str) -> list[int]:
    """Each run is a string of 5-bit digits, lowest first; from the fourth on, a difference."""
    runs: list[int] = []
    value = shift = 0
    for byte in counts.encode():
        digit = byte - 48
        if not 0 <= digit < 64 or shift > 60:
            raise ValueError("run lengths hold a character that has no place there")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        if value < 0:
            raise ValueError("a run length is negative")
        runs.append(value)
        value = shift = 0
    if shift:
        raise ValueError("run lengths end in the middle of a number")
    return runs
