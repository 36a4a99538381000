# SPDX-License-Identifier: Apache-2.0
"""Means with intervals, differences on the same subjects, ranks.

A set's value is the mean over its seeds and prompts; differences are of the same set, seed and prompt;
intervals are of subjects drawn anew, 95 % (percentile bootstrap, Efron 1979), since what one wants to know is
how other subjects would fare. Sets of the same subject, such as in several styles, are drawn together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, rankdata

_RESAMPLES = 2000
_ENOUGH = 6
"""Subjects below which even all of one sign are no more than chance at 95 % (the sign test)."""
BySet = Mapping[str, float]
Picture = tuple[str, int, int]
"""Set, seed, place of the prompt."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over sets and its interval; the interval is the mean itself where there is one subject."""

    mean: float
    low: float
    high: float
    sets: int
    subjects: int
    """Different ones, whose sets these are."""

    @property
    def apart(self) -> bool:
        """Whether the interval leaves 0 out, and is of as many subjects as that takes."""
        return self.subjects >= _ENOUGH and (self.low > 0 or self.high < 0)


def by_set(values: Mapping[Picture, float]) -> dict[str, float]:
    """Means of pictures' values by set."""
    found: dict[str, list[float]] = defaultdict(list)
    for (name, _, _), value in values.items():
        found[name].append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def estimate(values: Sequence[float], subjects: Sequence[Hashable] | None = None) -> Estimate:
    """Of values of sets, at least one; the same each time.

    Args:
        values: one a set.
        subjects: whose set each is; each another's if not given.
    """
    mean = float(np.mean(values))
    total, count = _by_subject(values, subjects or range(len(values)))
    if len(total) < 2 or max(values) == min(values):
        return Estimate(mean, mean, mean, len(values), len(total))
    interval = bootstrap(
        (total, count),
        lambda total, count, axis: total.sum(axis) / count.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(values), len(total))


def _by_subject(values: Sequence[float], subjects: Sequence[Hashable]) -> tuple[np.ndarray, np.ndarray]:
    """Of each subject the sum of its sets' values, and how many sets those are."""
    place = {name: number for number, name in enumerate(dict.fromkeys(subjects))}
    of = [place[name] for name in subjects]
    return np.bincount(of, values), np.bincount(of).astype(float)


def difference(
    ours: Mapping[Picture, float], theirs: Mapping[Picture, float], owners: Mapping[str, str] | None = None
) -> Estimate | None:
    """Of the pictures that both have, ours less theirs; None if there are none.

    Args:
        ours: by picture.
        theirs: likewise.
        owners: whose set each is, by the set's name; another's each if not given.
    """
    common = sorted(ours.keys() & theirs.keys())
    apart = by_set({each: ours[each] - theirs[each] for each in common})
    return estimate([*apart.values()], owned(apart, owners)) if apart else None


def owned(sets: Iterable[str], owners: Mapping[str, str] | None) -> list[str]:
    """Whose each set is; its own where nobody is known."""
    return [(owners or {}).get(name, name) for name in sets]


def mean_ranks(settings: Mapping[str, BySet], higher: bool) -> dict[str, float]:
    """1 is the best; ties share a rank; over sets that all settings have.

    Args:
        settings: values by set.
        higher: whether more is better.
    """
    common = sorted(set.intersection(*({*each} for each in settings.values()))) if settings else []
    if not common:
        return {}
    value_SN = np.array([[each[name] for name in common] for each in settings.values()])
    rank_SN = np.apply_along_axis(rankdata, 0, -value_SN if higher else value_SN)
    return dict(zip(settings, rank_SN.mean(1).tolist(), strict=True))
