# SPDX-License-Identifier: Apache-2.0
"""Means with intervals, differences on the same subjects, ranks.

A subject's value is the mean over its seeds and prompts; differences are of the same subject, seed and
prompt; intervals are of subjects drawn anew, 95 %
(percentile bootstrap, Efron 1979), since what one wants to know is how other subjects would fare.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, rankdata

_RESAMPLES = 2000
_ENOUGH = 6
"""Subjects below which even all of one sign are no more than chance at 95 % (the sign test)."""
BySubject = Mapping[str, float]
Picture = tuple[str, int, int]
"""Subject, seed, place of the prompt."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over subjects and its interval; the interval is the mean itself where there is one subject."""

    mean: float
    low: float
    high: float
    subjects: int

    @property
    def apart(self) -> bool:
        """Whether the interval leaves 0 out, and is of as many subjects as that takes."""
        return self.subjects >= _ENOUGH and (self.low > 0 or self.high < 0)


def by_subject(values: Mapping[Picture, float]) -> dict[str, float]:
    """Means of pictures' values by subject."""
    found: dict[str, list[float]] = defaultdict(list)
    for (subject, _, _), value in values.items():
        found[subject].append(value)
    return {subject: float(np.mean(values)) for subject, values in found.items()}


def estimate(values: Sequence[float]) -> Estimate:
    """Of values of subjects, at least one; the same each time."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, mean, mean, len(values))
    if max(values) == min(values):
        return Estimate(mean, mean, mean, len(values))
    interval = bootstrap(
        (np.asarray(values),),
        np.mean,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(values))


def difference(ours: Mapping[Picture, float], theirs: Mapping[Picture, float]) -> Estimate | None:
    """Of the pictures that both have, ours less theirs; None if there are none."""
    common = sorted(ours.keys() & theirs.keys())
    apart = by_subject({each: ours[each] - theirs[each] for each in common})
    return estimate([*apart.values()]) if apart else None


def mean_ranks(settings: Mapping[str, BySubject], higher: bool) -> dict[str, float]:
    """1 is the best; ties share a rank; over subjects that all settings have.

    Args:
        settings: values by subject.
        higher: whether more is better.
    """
    common = sorted(set.intersection(*({*each} for each in settings.values()))) if settings else []
    if not common:
        return {}
    value_SN = np.array([[each[name] for name in common] for each in settings.values()])
    rank_SN = np.apply_along_axis(rankdata, 0, -value_SN if higher else value_SN)
    return dict(zip(settings, rank_SN.mean(1).tolist(), strict=True))
