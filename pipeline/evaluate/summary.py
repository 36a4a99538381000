# SPDX-License-Identifier: Apache-2.0
"""What an evaluation comes to: for each method its values, its differences from others, its costs."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.metrics import METRICS, metric_class
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import Row
from pipeline.evaluate.statistics import Estimate, Picture, by_subject, difference, estimate, mean_ranks
from stages.columns import OK

_FASTER = 0.2
Estimates = dict[str, Estimate]
"""By metric."""
Values = Mapping[str, Mapping[str, Mapping[Picture, float]]]
"""By metric and setting."""


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
    by_count: dict[int, Estimates] = field(default_factory=dict)
    """The values by the number of subjects in a picture, where sets differ in it."""

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
        if later <= 0 or faster < _FASTER * (other.image_seconds or 0.0) or faster <= 0:
            return None
        return math.floor(later / faster) + 1


def summed_up(rows: Sequence[Row], config: EvaluateConfig) -> list[Method]:
    """All settings, in the configuration's order; those without a row so far are left out."""
    by_setting = {name: [row for row in rows if row["setting"] == name] for name in config.settings}
    by_setting = {name: some for name, some in by_setting.items() if some}
    values = _values(by_setting)
    ranks = {
        metric: mean_ranks(
            {name: by_subject(each) for name, each in found.items()}, higher_is_better(metric, config)
        )
        for metric, found in values.items()
    }
    return [_method(name, some, values, ranks, config) for name, some in by_setting.items()]


def _values(by_setting: Mapping[str, Sequence[Row]]) -> Values:
    there = {name: [row for row in some if row["status"] == OK] for name, some in by_setting.items()}
    metrics = sorted({name for some in there.values() for row in some for name in row["scores"]})
    found = {
        metric: {
            name: {
                (row["set"], row["seed"], row["place"]): row["scores"][metric]
                for row in some
                if metric in row["scores"]
            }
            for name, some in there.items()
        }
        for metric in metrics
    }
    return {metric: {name: each for name, each in some.items() if each} for metric, some in found.items()}


def _method(
    name: str, rows: Sequence[Row], values: Values, ranks: dict[str, Any], config: EvaluateConfig
) -> Method:
    own = {metric: found[name] for metric, found in values.items() if name in found}
    drawn = [row for row in rows if row["status"] == OK]
    others = [theirs for ours, theirs in config.comparisons if ours == name]
    return Method(
        name=name,
        pictures=len(rows),
        drawn=len(drawn),
        why=dict(Counter(_why(row) for row in rows if row["status"] != OK)),
        values=_estimates(own),
        differences={} if name == config.baseline else _differences(own, config.baseline, values),
        ranks={metric: found[name] for metric, found in ranks.items() if name in found},
        tuning_seconds=_median(drawn, "tuning_seconds"),
        image_seconds=_median(drawn, "image_seconds"),
        subject_bytes=_whole(_median(drawn, "subject_bytes")),
        memory_bytes=max((row["memory_bytes"] for row in drawn), default=None),
        compared={other: _differences(own, other, values) for other in others},
        by_count=_by_count(own, config),
    )


def _estimates(own: Mapping[str, Mapping[Picture, float]]) -> Estimates:
    return {metric: estimate([*by_subject(found).values()]) for metric, found in own.items()}


def _differences(own: Mapping[str, Mapping[Picture, float]], other: str, values: Values) -> Estimates:
    found = {metric: difference(each, values[metric].get(other, {})) for metric, each in own.items()}
    return {metric: each for metric, each in found.items() if each is not None}


def _by_count(own: Mapping[str, Mapping[Picture, float]], config: EvaluateConfig) -> dict[int, Estimates]:
    counts = {each.name: len(each.individuals) for each in config.protocol.sets}
    found = {}
    for count in sorted({*counts.values()}) if len({*counts.values()}) > 1 else ():
        some = {
            metric: {picture: value for picture, value in each.items() if counts[picture[0]] == count}
            for metric, each in own.items()
        }
        found[count] = _estimates({metric: each for metric, each in some.items() if each})
    return found


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
