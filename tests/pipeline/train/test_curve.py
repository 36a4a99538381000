# SPDX-License-Identifier: Apache-2.0
import math
import re
from itertools import pairwise

import pytest

from pipeline.train.curve import chart, thinned


def test_a_line_a_name_inside_of_the_picture():
    drawn = chart("Loss <b>", {"one": [(1, 3.0), (2, 1.0), (4, 2.0)], "other": [(1, 2.0), (4, 2.0)]})
    assert drawn.count("<polyline") == 2
    assert "Loss &lt;b&gt;" in drawn
    for x, y in re.findall(r"([\d.]+),([\d.]+)", " ".join(re.findall(r'points="([^"]+)"', drawn))):
        assert 0 <= float(x) <= 420
        assert 0 <= float(y) <= 200


def test_what_cannot_be_drawn():
    assert chart("Nothing", {"one": []}) == ""
    assert chart("Nothing", {"one": [(1, math.nan)]}) == ""
    assert "<circle" in chart("One", {"one": [(5, 1.0)]})
    assert "nan" not in chart("Flat", {"one": [(1, 1.0), (2, 1.0), (3, math.inf)]}).lower()


@pytest.mark.parametrize("count", [1, 299, 300, 301, 5000])
def test_thinning_keeps_the_mean(count):
    points = [(float(step), float(step % 7)) for step in range(count)]
    thin = thinned(points)
    assert len(thin) <= 300
    assert thin[-1][0] == count - 1
    assert all(one[0] < other[0] for one, other in pairwise(thin))
