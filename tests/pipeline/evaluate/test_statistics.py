# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pipeline.evaluate.statistics import by_set, difference, estimate, mean_ranks


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        found = estimate(rng.normal(3.0, 1.0, 24).tolist())
        held += found.low <= 3.0 <= found.high
        assert found.low <= found.mean <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_sets_count_the_same_however_many_pictures_they_have():
    values = {("a", 0, place): 1.0 for place in range(9)} | {("b", 0, 0): 0.0}
    assert estimate([*by_set(values).values()]).mean == 0.5


def test_one_subject_or_none_of_difference_has_no_width():
    assert estimate([0.5]).low == estimate([0.5]).high == 0.5
    assert not estimate([0.5]).apart
    assert estimate([0.25] * 7).low == 0.25


def test_paired_differences_leave_out_what_subjects_have_in_common():
    rng = np.random.default_rng(1)
    levels = {(str(n), 0, 0): float(level) for n, level in enumerate(rng.normal(0, 10, 30))}
    better = {picture: level + 0.5 + 0.1 * float(rng.normal()) for picture, level in levels.items()}
    found = difference(better, levels)
    assert found.apart
    assert found.mean == pytest.approx(0.5, abs=0.1)
    assert not (estimate([*better.values()]).low > estimate([*levels.values()]).mean)


def test_only_common_pictures_are_compared():
    one, other, third = ("a", 0, 0), ("a", 0, 1), ("a", 1, 0)
    assert difference({one: 1.0, other: 5.0}, {one: 0.0, third: 9.0}).mean == 1.0
    assert difference({one: 1.0}, {other: 1.0}) is None


def test_sets_of_one_subject_are_drawn_together():
    """Four sets of a subject that say the same are no more than one of them."""
    rng = np.random.default_rng(2)
    once = rng.normal(0.0, 1.0, 12).tolist()
    alone, often = estimate(once), estimate([*once] * 4, [*range(12)] * 4)
    assert (often.mean, often.low, often.high) == pytest.approx((alone.mean, alone.low, alone.high))
    assert (often.sets, often.subjects) == (48, 12)
    careless = estimate([*once] * 4)
    assert careless.high - careless.low < 0.6 * (often.high - often.low)
    few = estimate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0, 0, 0, 1, 1, 1, 1])
    assert few.low > 0
    assert not few.apart


def test_subjects_of_many_sets_weigh_as_many():
    found = estimate([0.0, 1.0, 1.0, 1.0], ["a", "b", "b", "b"])
    assert found.mean == 0.75
    assert (found.low, found.high) == (0.0, 1.0)


def test_differences_know_whose_sets_they_are_of():
    ours = {(f"{who}+{style}", 0, 0): 1.0 + who for who in range(6) for style in "xy"}
    theirs = dict.fromkeys(ours, 0.0)
    owners = {name: name[0] for name, _, _ in ours}
    assert difference(ours, theirs, owners).subjects == 6
    assert difference(ours, theirs).subjects == 12


def test_ranks_follow_the_better_direction_and_share_ties():
    settings = {"x": {"1": 0.9, "2": 0.5}, "y": {"1": 0.1, "2": 0.5}, "z": {"1": 0.5, "2": 0.1, "3": 7.0}}
    assert mean_ranks(settings, higher=True) == {"x": 1.25, "y": 2.25, "z": 2.5}
    assert mean_ranks(settings, higher=False) == {"x": 2.75, "y": 1.75, "z": 1.5}
    assert mean_ranks({}, higher=True) == {}
