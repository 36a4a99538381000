# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise

import numpy as np
import pytest

from pipeline.evaluate.report.axes import Axis, spread
from pipeline.evaluate.report.figures import front_of
from pipeline.evaluate.report.tabled import as_html


def test_the_front_is_what_nothing_is_better_than():
    points = {"a": (0.1, 0.9), "b": (0.5, 0.5), "c": (0.9, 0.1), "d": (0.4, 0.4), "e": (0.5, 0.3)}
    assert front_of(points) == ["a", "b", "c"]
    assert front_of({"a": (1, 1), "b": (1, 1)}) == ["a", "b"]
    rng = np.random.default_rng(0)
    many = {str(k): tuple(rng.random(2)) for k in range(200)}
    front = [many[name] for name in front_of(many)]
    assert front == sorted(front)
    assert [y for _, y in front] == sorted((y for _, y in front), reverse=True)


@pytest.mark.parametrize("places", [[50.0] * 8, [10.0, 200.0, 11.0], [190.0, 195.0, 199.0], []])
def test_labels_are_apart_and_in_the_order_of_what_they_are_of(places):
    found = spread(places, 14, 0, 200)
    heights = sorted(found)
    assert all(b - a >= 14 - 1e-9 for a, b in pairwise(heights))
    assert [found[k] for k in sorted(range(len(places)), key=places.__getitem__)] == heights
    assert all(-1e-9 <= height <= 200 + 1e-9 for height in found)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.61, 0.64), (-3, 400), (5, 5)])
def test_ticks_lie_within_and_are_few(low, high):
    axis = Axis.of([low, high], 0, 100)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(-1e-6 <= axis.at(tick) <= 100 + 1e-6 for tick in ticks)


def test_times_are_on_a_scale_of_powers():
    axis = Axis.of([1, 1000], 0, 300, log=True)
    assert [axis.at(value) for value in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])
    assert axis.ticks() == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


def test_tables_become_html_and_nothing_in_them_does():
    page = as_html("Some <b> text.\n\n| m | x |\n|---|---|\n| <i> | **0.5 (0.4 to 0.6)** |\n\n- one\n- two\n")
    assert '<p class="quiet">Some &lt;b&gt; text.</p>' in page
    assert "<th>&lt;i&gt;</th><td><b>0.5<small>(0.4 to 0.6)</small></b></td>" in page
    assert "<li>one</li><li>two</li>" in page
