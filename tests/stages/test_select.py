# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.select import Select
from tests.tables import ok_rows

NOUNS = [
    {"text": f"a {word}", "lemma": word, "span": [0, 5], "head": word, "head_span": [2, 5], "prompt": word}
    for word in ("cat", "mug")
]


def select(*detections, **fields):
    rows = [{"noun": noun, "box": box, "score": score} for noun, box, score in detections]
    table = ok_rows(width=[100], height=[100], nouns=[NOUNS], detections=[rows])
    return Select(**fields).setup()(table).to_pylist()[0]


def test_entities_are_numbered_from_one_in_falling_score_and_know_their_noun():
    row = select((0, [0, 0, 20, 20], 0.5), (1, [50, 50, 90, 90], 0.9))
    assert [(e["id"], e["lemma"]) for e in row["entities"]] == [(1, "mug"), (2, "cat")]
    assert row["entities"][1]["span"] == [0, 5]


def test_what_lies_inside_another_is_marked_not_dropped():
    row = select((0, [0, 0, 80, 80], 0.5), (1, [10, 10, 30, 30], 0.9))
    assert [e["contained_in"] for e in row["entities"]] == [2, -1]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"min_area": 0.04}, True),
        ({"min_area": 0.0401}, False),
        ({"max_area": 0.04}, True),
        ({"max_area": 0.0399}, False),
        ({"max_elongation": 4.0}, True),
        ({"max_elongation": 3.99}, False),
        ({"min_score": 0.49}, True),
        ({"min_score": 0.5}, False),
    ],
)
def test_rules_at_their_limits(fields, kept):
    row = select((0, [0, 0, 40, 10], 0.5), **fields)
    assert (row["status"] == "ok") is kept
    assert bool(row["entities"]) is kept


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"min_detections": 3}, "too_few_detections"),
        ({"max_detections": 1}, "too_many_detections"),
        ({"min_entities": 3}, "too_few_entities"),
        ({"max_entities": 1}, "too_many_entities"),
        ({}, None),
    ],
)
def test_counts_decide(fields, reason):
    row = select((0, [0, 0, 20, 20], 0.5), (1, [50, 50, 90, 90], 0.9), **fields)
    assert row["reason"] == reason


def test_nothing_detected_is_a_reason_of_its_own():
    assert select()["reason"] == "nothing_detected"


def test_more_than_a_label_map_can_hold_is_refused():
    with pytest.raises(ValueError, match="max_entities"):
        Select(max_entities=256)


boxes = st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(1, 19), st.integers(1, 19))
detections = st.lists(
    st.tuples(st.integers(0, 1), boxes, st.floats(0.0078125, 1, width=32)), min_size=1, max_size=12
)


@given(detections, st.floats(0, 0.02), st.floats(0, 0.5))
def test_stricter_rules_never_keep_more_and_order_of_detections_does_not_matter(found, area, score):
    rows = [(noun, [x, y, x + w, y + h], s) for noun, (x, y, w, h), s in found]
    loose, strict = (
        select(*rows, max_entities=255),
        select(*rows, max_entities=255, min_area=area, min_score=score),
    )
    assert len(strict["entities"]) <= len(rows)
    assert all(e["det_score"] > score for e in strict["entities"])
    assert select(*reversed(rows), max_entities=255)["entities"] == loose["entities"]
