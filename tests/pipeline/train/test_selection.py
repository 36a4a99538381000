# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.train.rules import Fill, Rules, Words
from pipeline.train.selection import Candidate, in_caption, select, white_fraction

SIDE = 100
CAPTION = "a red cat and a dog on the beach"


def candidate(label="cat", box=(10, 10, 50, 50), score=0.9, filled=1.0):
    """One whose mask fills this share of its box, from the top."""
    mask = np.zeros((SIDE, SIDE), bool)
    x0, y0, x1, y1 = box
    mask[y0 : y0 + round((y1 - y0) * filled), x0:x1] = True
    return Candidate(label, tuple(map(float, box)), score, mask)


def verdict(rules=None, **fields):
    found = select(CAPTION, [candidate(**fields)], rules or Rules())
    return found.reasons[0] if found.reasons else "ok"


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 20, 40), "area"),  # 0.08 of the picture
        ((0, 0, 21, 40), "ok"),
        ((0, 0, 100, 70), "area"),  # 0.7
        ((0, 0, 99, 70), "ok"),
        ((0, 0, 30, 100), "ratio"),  # 0.3
        ((0, 0, 31, 100), "ok"),
        ((0, 0, 90, 30), "ratio"),  # 3
        ((0, 0, 89, 30), "ok"),
        ((5, 5, 5, 50), "no_area"),
    ],
)
def test_boxes_at_their_limits(box, expected):
    assert verdict(box=box) == expected


def test_scores_fills_and_labels_at_their_limits():
    assert verdict(score=0.3) == "score"
    assert verdict(score=0.301) == "ok"
    rules = Rules(fill=0.6)
    assert verdict(rules, filled=0.6) == "ok"
    assert verdict(rules, filled=0.575) == "fill"
    assert verdict(filled=0) == "empty_mask"
    assert verdict(label="fish") == "not_in_caption"
    assert verdict(label="red cat") == "ok"
    assert verdict(Rules(one_word=True), label="red cat") == "several_words"


def test_labels_in_captions():
    assert in_caption("Dog", "a dog.", Words.whole)
    assert not in_caption("man", "a woman", Words.whole)
    assert in_caption("man", "a woman", Words.substring)
    assert in_caption("t-shirt (red)", "a t-shirt (red)", Words.whole)


def test_what_fills_a_box_is_the_subject_or_anything():
    some = candidate(filled=0.3)
    rules = Rules(fill=0.6)
    assert select(CAPTION, [some], rules).reasons == ("fill",)
    assert select(CAPTION, [some], replace(rules, fill_counts=Fill.dominant)).reasons == ()


def test_values_in_a_box():
    rules = Rules(values=(2, 5))
    full, half = candidate(), candidate(filled=0.5)
    assert select(CAPTION, [full], rules).reasons == ("values",)
    assert select(CAPTION, [half], rules).reasons == ()
    crowd = [candidate("dog", (10 + 4 * n, 40, 14 + 4 * n, 44), 0.2) for n in range(5)]
    assert "values" in select(CAPTION, [half, *crowd], rules).reasons


def test_a_mask_that_goes_beyond_its_box():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:60, 10:60] = True
    assert select(CAPTION, [Candidate("cat", (10, 10, 50, 50), 0.9, mask)], Rules()).reasons == (
        "mask_exceeds_box",
    )


def test_one_in_the_other_is_left_out_and_the_better_one_stays():
    outer, inner = candidate(score=0.8), candidate("dog", (10, 10, 45, 40), 0.9)
    found = select(CAPTION, [outer, inner], Rules())
    assert [each.label for each in found.chosen] == ["dog"]
    assert found.reasons == ("contained",)
    apart = candidate("dog", (18, 10, 58, 50), 0.9)  # 0.8 in common
    assert len(select(CAPTION, [outer, apart], Rules()).chosen) == 2


def test_only_the_best_are_taken():
    everyone = [candidate("cat", (33 * n, 0, 33 * n + 30, 40), 0.5 + 0.1 * n) for n in range(3)]
    found = select(CAPTION, everyone, Rules())
    assert [each.score for each in found.chosen] == pytest.approx([0.7, 0.6])
    assert found.reasons == ("one_too_many",)


boxes = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
candidates = st.lists(
    st.builds(
        lambda label, box, score, filled: candidate(
            label, (box[0], box[1], box[0] + box[2], box[1] + box[3]), score, filled
        ),
        st.sampled_from(["cat", "dog", "red cat", "fish"]),
        boxes,
        st.floats(0, 1),
        st.floats(0, 1),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(candidates, st.sampled_from([Rules(), Rules().legacy()]))
def test_everyone_is_chosen_or_has_a_reason(everyone, rules):
    found = select(CAPTION, everyone, rules)
    assert len(found.chosen) + len(found.reasons) == len(everyone)
    assert len(found.chosen) <= rules.max_subjects
    assert [each.score for each in found.chosen] == sorted((e.score for e in found.chosen), reverse=True)


@settings(deadline=None)
@given(candidates)
def test_stricter_thresholds_find_no_more(everyone):
    # Without the rule that makes candidates depend on one another.
    loose = Rules(containment=1, max_subjects=10)
    count = len(select(CAPTION, everyone, loose).chosen)
    for stricter in (
        {"score": 0.6},
        {"fill": 0.7},
        {"area": (0.1, 0.5)},
        {"ratio": (0.5, 2)},
        {"one_word": True},
    ):
        assert len(select(CAPTION, everyone, replace(loose, **stricter)).chosen) <= count


def test_white_pictures():
    image = np.full((10, 10, 3), 229, np.uint8)
    assert white_fraction(image) == 0
    image[0] = 230
    image[1, :, :2] = 255
    assert white_fraction(image) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "fields", [{"area": (0.7, 0.1)}, {"score": 1.5}, {"max_subjects": 0}, {"values": (5, 2)}, {"fill": -1}]
)
def test_rules_that_cannot_be(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        Rules(**fields)
