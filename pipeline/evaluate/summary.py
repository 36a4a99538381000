# SPDX-License-Identifier: Apache-2.0
"""What an evaluation comes to: for each method its values, its differences from the baseline, its costs."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.metrics import METRICS, metric_class
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import Row
from pipeline.evaluate.statistics import Estimate, by_subject, difference, estimate, mean_ranks
from stages.columns import OK

FOUND = "found"


@dataclass(frozen=True, slots=True)
class Method:
    """One setting."""

    name: str
    pictures: int
    """That were asked for so far."""
    drawn: int
    why: dict[str, int]
    """Why others were not, with counts."""
    values: dict[str, Estimate]
    differences: dict[str, Estimate]
    """From the baseline."""
    ranks: dict[str, float]
    tuning_seconds: float | None
    """Of a set's subjects; median."""
    image_seconds: float | None
    """Median."""
    subject_bytes: int | None
    memory_bytes: int | None

    def seconds(self, images: int) -> float | None:
        """T(n): learning a subject, and drawing so many pictures of it."""
        if self.tuning_seconds is None or self.image_seconds is None:
            return None
        return self.tuning_seconds + images * self.image_seconds

    def overtakes(self, other: Method) -> int | None:
        """From how many pictures on it takes less time, where it takes more for the first ones."""
        if None in (self.seconds(0), other.seconds(0)):
            return None
        later = (self.seconds(0) or 0.0) - (other.seconds(0) or 0.0)
        faster = (other.image_seconds or 0.0) - (self.image_seconds or 0.0)
        return math.floor(later / faster) + 1 if later > 0 and faster > 0 else None


def summed_up(rows: Sequence[Row], config: EvaluateConfig) -> list[Method]:
    """All settings, in the configuration's order; those without a row so far are left out."""
    by_setting = {name: [row for row in rows if row["setting"] == name] for name in config.settings}
    by_setting = {name: some for name, some in by_setting.items() if some}
    metrics = sorted({name for row in rows for name in row["scores"]})
    values = {
        metric: {
            name: by_subject([(r["set"], r["scores"][metric]) for r in some if metric in r["scores"]])
            for name, some in by_setting.items()
            if any(metric in row["scores"] for row in some)
        }
        for metric in metrics
    }
    ranks = {metric: mean_ranks(found, higher_is_better(metric, config)) for metric, found in values.items()}
    return [_method(name, some, values, ranks, config) for name, some in by_setting.items()]


def _method(
    name: str, rows: Sequence[Row], values: dict[str, Any], ranks: dict[str, Any], config: EvaluateConfig
) -> Method:
    own = {metric: found[name] for metric, found in values.items() if name in found}
    base = {metric: found.get(config.baseline, {}) for metric, found in values.items()}
    differences = {metric: difference(found, base[metric]) for metric, found in own.items()}
    drawn = [row for row in rows if row["status"] == OK]
    return Method(
        name=name,
        pictures=len(rows),
        drawn=len(drawn),
        why=dict(Counter(_why(row) for row in rows if row["status"] != OK)),
        values={metric: estimate([*found.values()]) for metric, found in own.items()},
        differences={
            metric: each
            for metric, each in differences.items()
            if each is not None and name != config.baseline
        },
        ranks={metric: found[name] for metric, found in ranks.items() if name in found},
        tuning_seconds=_median(drawn, "tuning_seconds"),
        image_seconds=_median(drawn, "image_seconds"),
        subject_bytes=_whole(_median(drawn, "subject_bytes")),
        memory_bytes=max((row["memory_bytes"] for row in drawn), default=None),
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
