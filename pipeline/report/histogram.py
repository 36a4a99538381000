# SPDX-License-Identifier: Apache-2.0
"""Counts of a number in equal bins, added to batch by batch."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Histogram:
    """Half-open bins from `low` to `high`; what lies outside is counted in the nearest bin."""

    title: str
    """What is counted, for people."""
    low: float
    """Where the first bin begins."""
    high: float
    """Where the last bin ends."""
    bins: int
    """How many bins."""
    whole: bool = False
    """The values are counts: a bin is one number, and the last one stands for all above it too."""
    counts: np.ndarray = field(init=False)
    seen: int = field(init=False, default=0)
    total: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.bins, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count `values`, any shape; NaN is left out."""
        values = values[np.isfinite(values)].astype(np.float64)
        places = np.floor((values - self.low) / (self.high - self.low) * self.bins)
        self.counts += np.bincount(places.clip(0, self.bins - 1).astype(np.int64), minlength=self.bins)
        self.seen += values.size
        self.total += float(values.sum())

    def as_json(self) -> dict[str, Any]:
        """Plain values: title, low, high, whole, counts, n, mean (null when nothing was counted)."""
        return {
            "title": self.title,
            "low": self.low,
            "high": self.high,
            "whole": self.whole,
            "counts": self.counts.tolist(),
            "n": self.seen,
            "mean": round(self.total / self.seen, 4) if self.seen else None,
        }
