# SPDX-License-Identifier: Apache-2.0
"""What methods come to on all sets of an evaluation, or on those of so many subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import Row
from pipeline.evaluate.statistics import Estimate, Picture, by_set, difference, estimate, owned
from stages.columns import OK

Estimates = dict[str, Estimate]
"""By metric."""
Values = Mapping[str, Mapping[str, Mapping[Picture, float]]]
"""By metric and setting."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a method comes to on some of the sets."""

    values: Estimates
    differences: Estimates
    """From the baseline."""
    compared: dict[str, Estimates] = field(default_factory=dict)
    """Differences from other settings that the configuration asks for."""


def values_of(by_setting: Mapping[str, Sequence[Row]]) -> Values:
    """Of all pictures that are there, by metric and setting."""
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


def part_of(name: str, values: Values, config: EvaluateConfig) -> Part:
    """What a setting comes to on the sets that there are values of."""
    owners = {each.name: each.owner for each in config.protocol.sets}
    own = {metric: found[name] for metric, found in values.items() if name in found}
    others = [theirs for ours, theirs in config.comparisons if ours == name]
    return Part(
        values=_estimates(own, owners),
        differences={} if name == config.baseline else _apart(own, config.baseline, values, owners),
        compared={other: _apart(own, other, values, owners) for other in others},
    )


def _estimates(own: Mapping[str, Mapping[Picture, float]], owners: Mapping[str, str]) -> Estimates:
    means = {metric: by_set(found) for metric, found in own.items()}
    return {metric: estimate([*each.values()], owned(each, owners)) for metric, each in means.items()}


def _apart(
    own: Mapping[str, Mapping[Picture, float]], other: str, values: Values, owners: Mapping[str, str]
) -> Estimates:
    found = {metric: difference(each, values[metric].get(other, {}), owners) for metric, each in own.items()}
    return {metric: each for metric, each in found.items() if each is not None}


def by_count(name: str, values: Values, config: EvaluateConfig) -> dict[int, Part]:
    """The same by the number of subjects in a picture; empty where sets do not differ in it."""
    counts = {each.name: len(each.individuals) for each in config.protocol.sets}
    different = sorted({*counts.values()})
    if len(different) < 2:
        return {}
    parts = {count: part_of(name, _of_count(values, counts, count), config) for count in different}
    return {count: part for count, part in parts.items() if part.values}


def _of_count(values: Values, counts: Mapping[str, int], count: int) -> Values:
    found = {
        metric: {
            name: {picture: value for picture, value in each.items() if counts.get(picture[0]) == count}
            for name, each in some.items()
        }
        for metric, some in values.items()
    }
    return {metric: {name: each for name, each in some.items() if each} for metric, some in found.items()}
