# SPDX-License-Identifier: Apache-2.0
"""What an evaluation comes to: for each method its values, its differences from others, its costs."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.metrics import METRICS, metric_class
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.part import Estimates, Part, Values, by_count, part_of, values_of
from pipeline.evaluate.pictures import Row
from pipeline.evaluate.statistics import by_set, mean_ranks
from stages.columns import OK

FASTER = 0.2
"""Share of a picture's time below which a method is no faster than another: clocks are not that good."""


@dataclass(frozen=True, slots=True)
class Method:
    """One setting."""

    name: str
    pictures: int
    """That were asked for so far."""
    drawn: int
    why: dict[str, int]
    """Why others were not, with counts."""
    values: Estimates
    differences: Estimates
    """From the baseline."""
    ranks: dict[str, float]
    tuning_seconds: float | None
    """Of a set's subjects; median."""
    image_seconds: float | None
    """Median."""
    subject_bytes: int | None
    memory_bytes: int | None
    compared: dict[str, Estimates] = field(default_factory=dict)
    """Differences from other settings that the configuration asks for."""

    by_count: dict[int, Part] = field(default_factory=dict)
    """The same by the number of subjects in a picture, where sets differ in it."""

    @property
    def whole(self) -> Part:
        """What it comes to on all sets."""
        return Part(self.values, self.differences, self.compared)

    def seconds(self, images: int) -> float | None:
        """T(n): learning a subject, and drawing so many pictures of it."""
        if self.tuning_seconds is None or self.image_seconds is None:
            return None
        return self.tuning_seconds + images * self.image_seconds

    def overtakes(self, other: Method) -> int | None:
        """From how many pictures on it takes less time, where it takes more for the first ones.

        Pictures whose times differ by less than a fifth are as fast.
        """
        if None in (self.seconds(0), other.seconds(0)):
            return None
        later = (self.seconds(0) or 0.0) - (other.seconds(0) or 0.0)
        faster = (other.image_seconds or 0.0) - (self.image_seconds or 0.0)
        if later <= 0 or faster < FASTER * (other.image_seconds or 0.0) or faster <= 0:
            return None
        return math.floor(later / faster) + 1


def summed_up(rows: Sequence[Row], config: EvaluateConfig) -> list[Method]:
    """All settings, in the configuration's order; those without a row so far are left out."""
    by_setting = {name: [row for row in rows if row["setting"] == name] for name in config.settings}
    by_setting = {name: some for name, some in by_setting.items() if some}
    values = values_of(by_setting)
    ranks = {
        metric: mean_ranks(
            {name: by_set(each) for name, each in found.items()}, higher_is_better(metric, config)
        )
        for metric, found in values.items()
    }
    return [_method(name, some, values, ranks, config) for name, some in by_setting.items()]


def _method(
    name: str, rows: Sequence[Row], values: Values, ranks: dict[str, Any], config: EvaluateConfig
) -> Method:
    drawn = [row for row in rows if row["status"] == OK]
    whole = part_of(name, values, config)
    return Method(
        name=name,
        pictures=len(rows),
        drawn=len(drawn),
        why=dict(Counter(_why(row) for row in rows if row["status"] != OK)),
        values=whole.values,
        differences=whole.differences,
        ranks={metric: found[name] for metric, found in ranks.items() if name in found},
        tuning_seconds=_median(drawn, "tuning_seconds"),
        image_seconds=_median(drawn, "image_seconds"),
        subject_bytes=_whole(_median(drawn, "subject_bytes")),
        memory_bytes=max((row["memory_bytes"] for row in drawn), default=None),
        compared=whole.compared,
        by_count=by_count(name, values, config),
    )


def higher_is_better(metric: str, config: EvaluateConfig) -> bool:
    """Of a value's name, which begins with its metric's."""
    kinds = [type(each) for each in config.metrics.values()]
    kinds += [metric_class(name) for name in METRICS]
    owner = next((kind for kind in kinds if metric.startswith(f"{kind.name}_")), None)
    return owner is None or owner.better == "higher"


def _why(row: Row) -> str:
    return f"{row['stage']}: {row['reason']}: {row['detail']}"


def _median(rows: Sequence[Row], name: str) -> float | None:
    found = [row[name] for row in rows if row[name] is not None]
    return statistics.median(found) if found else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
