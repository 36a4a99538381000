# SPDX-License-Identifier: Apache-2.0
"""How right the judge itself is, on renders that it never saw."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from models.miniature.judge.read import Judge, Reading
from models.miniature.train.layouts import LAYOUTS, PIXELS
from models.miniature.train.scenes import VALIDATION_SEED, scene_of
from models.miniature.world import MARKS, Rendered, render_scene

READ = ("noun", "body", "accent", "pattern", "build", "trait")
_BATCH = 50


@dataclass(slots=True)
class Accuracy:
    """Right answers among all that could be given, by attribute."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, truth: Rendered, reading: Reading) -> None:
        """Count one picture; a subject that is not found is wrong in everything."""
        self._count("background", reading.background == truth.background)
        for subject in truth.subjects:
            overlaps = [_iou(subject.mask, seen.mask) for seen in reading.subjects]
            best = max(range(len(overlaps)), key=overlaps.__getitem__, default=None)
            seen = None if best is None or overlaps[best] < 0.5 else reading.subjects[best].identity
            right = {
                name: seen is not None and getattr(seen, name) == getattr(subject.identity, name)
                for name in READ
            }
            right["identity"] = all(right[name] for name in MARKS)
            for name, is_right in right.items():
                self._count(name, is_right)

    def _count(self, name: str, right: bool) -> None:
        self.asked[name] += 1
        self.right[name] += right

    def __getitem__(self, name: str) -> float:
        """Share of right answers."""
        return self.right[name] / max(1, self.asked[name])


def accuracy(judge: Judge, scenes: int) -> dict[str, float]:
    """Shares of right answers on held-out scenes, by attribute.

    Args:
        judge: what is tested.
        scenes: how many, of the three layouts in turn.
    """
    counted = Accuracy()
    for truths in held_out_scenes(scenes):
        for truth, reading in zip(truths, judge.read([each.image for each in truths]), strict=True):
            counted.add(truth, reading)
    return {name: counted[name] for name in (*READ, "identity", "background")}


def held_out_scenes(scenes: int) -> Iterator[list[Rendered]]:
    """Batches of them, the same each time."""
    for start in range(0, scenes, _BATCH):
        yield [
            render_scene(scene_of(LAYOUTS[index % len(LAYOUTS)], VALIDATION_SEED, index), PIXELS)
            for index in range(start, min(scenes, start + _BATCH))
        ]


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
