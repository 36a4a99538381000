# SPDX-License-Identifier: Apache-2.0
import pytest

from models.backends.spacy_tagger import SpacyTagger
from stages.nouns import Nouns, prompted
from tests.tables import ok_rows

MINIATURE = SpacyTagger(model="miniature:tagger")


def nouns_of(*captions, **fields):
    stage = Nouns(tagger=MINIATURE, **fields)
    return stage.setup()(ok_rows(caption=list(captions))).to_pylist()


def test_every_noun_keeps_its_place_in_the_caption():
    caption = "a red cat, an orange dog and a blue mug in the snow"
    (row,) = nouns_of(caption, stop_nouns=("snow",))
    assert [noun["lemma"] for noun in row["nouns"]] == ["cat", "dog", "mug"]
    for noun in row["nouns"]:
        assert caption[slice(*noun["span"])] == noun["text"]
        assert caption[slice(*noun["head_span"])] == noun["head"]
    assert [noun["text"] for noun in row["nouns"]] == ["red cat", "orange dog", "blue mug"]


def test_the_head_noun_is_asked_for_and_the_phrase_where_the_noun_repeats():
    (row,) = nouns_of("a red cat and a blue cat and a dog")
    assert [noun["prompt"] for noun in row["nouns"]] == ["red cat", "blue cat", "dog"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"min_nouns": 3}, "too_few_nouns"),
        ({"max_nouns": 1}, "too_many_nouns"),
        ({"stop_nouns": ("cat", "mug")}, "too_few_nouns"),
        ({"min_nouns": 2, "max_nouns": 2}, None),
    ],
)
def test_the_number_of_nouns_decides(fields, reason):
    (row,) = nouns_of("a red cat and a blue mug", **{"stop_nouns": ()} | fields)
    assert row["reason"] == reason
    assert row["status"] == ("rejected" if reason else "ok")


def test_a_caption_does_not_depend_on_its_neighbours():
    captions = ["a red cat in the snow", "! ! !", "two dogs! and a mug", "a blue car at night"]
    together = nouns_of(*captions)
    assert [row["nouns"] for row in together] == [nouns_of(caption)[0]["nouns"] for caption in captions]


def test_no_phrases_no_rows():
    assert prompted("nothing here", []) == []
