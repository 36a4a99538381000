# SPDX-License-Identifier: Apache-2.0
import pytest

from pipeline.train.captions import Phrase, bare


def phrases(caption, *texts):
    """Of phrases that end with their nouns, in the order in which they stand."""
    found, begin = [], 0
    for text in texts:
        start = caption.index(text, begin)
        begin = start + len(text)
        found.append(Phrase(text.split()[-1], start, begin - len(text.split()[-1])))
    return found


@pytest.mark.parametrize(
    ("caption", "texts", "labels", "wanted"),
    [
        ("a red cat in the snow", ["red cat"], {"cat"}, "a cat in the snow"),
        ("an old red cat", ["old red cat"], {"cat"}, "a cat"),
        ("A red umbrella", ["red umbrella"], {"umbrella"}, "An umbrella"),
        ("the red cat", ["red cat"], {"cat"}, "the cat"),
        ("two red cats", ["two red cats"], {"cats"}, "cats"),
        ("a red cat and a blue cat", ["red cat", "blue cat"], {"cat"}, "a cat and a cat"),
        ("a red cat on an orange mug", ["red cat", "orange mug"], {"cat"}, "a cat on an orange mug"),
        ("a red cat on an orange mug", ["red cat", "orange mug"], {"cat", "mug"}, "a cat on a mug"),
        ("a pizza red cat", ["red cat"], {"cat"}, "a pizza cat"),
        ("a cat", ["cat"], {"cat"}, "a cat"),
        ("a red cat", ["red cat"], set(), "a red cat"),
    ],
)
def test_nouns_stand_alone(caption, texts, labels, wanted):
    assert bare(caption, phrases(caption, *texts), labels) == wanted
    # Phrases may come in any order.
    assert bare(caption, phrases(caption, *texts)[::-1], labels) == wanted


def test_no_phrases_no_change():
    assert bare("a red cat", (), {"cat"}) == "a red cat"
