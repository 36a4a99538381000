# SPDX-License-Identifier: Apache-2.0
"""The stage on real pictures with the miniature's detector."""

import pytest

from models.backends.grounding_dino import GroundingDino
from models.miniature.world import render_scene, sample_scene
from stages.detect import Detect
from tests.tables import jpeg, ok_rows

MINIATURE = GroundingDino(model="miniature:detector")


def noun(word, prompt=None):
    text = {"text": f"a {word}", "lemma": word, "span": [0, 2 + len(word)], "head": word}
    return text | {"head_span": [2, 2 + len(word)], "prompt": prompt or word}


def detect(rendered, nouns, **fields):
    image = rendered.image
    table = ok_rows(
        image=[jpeg(image)], width=[image.width], height=[image.height], nouns=[[*nouns]]
    )  # fmt: skip
    (row,) = Detect(detector=MINIATURE, **fields).setup()(table).to_pylist()
    assert row["status"] == "ok", row["detail"]
    return row["detections"]


@pytest.fixture(scope="module")
def scene():
    return render_scene(sample_scene(44, 0, count=2), 512)


def test_boxes_are_pixels_of_the_stored_picture_however_small_it_was_decoded(scene):
    nouns = [noun(subject.identity.noun) for subject in scene.subjects]
    whole = detect(scene, nouns, decode_side=512)
    small = detect(scene, nouns, decode_side=128)
    assert [d["noun"] for d in whole] == [d["noun"] for d in small]
    assert len(whole) >= 2
    for one, other in zip(whole, small, strict=True):
        assert other["box"] == pytest.approx(one["box"], abs=12)
    for subject in scene.subjects:
        near = [d for d in small if d["box"] == pytest.approx(list(subject.box), abs=40)]
        assert near, subject.box


def test_two_nouns_with_the_same_words_share_the_first_ones_label(scene):
    word = scene.subjects[0].identity.noun
    found = detect(scene, [noun(word), noun(word)])
    assert {d["noun"] for d in found} == {0}


def test_nothing_to_ask_for_finds_nothing(scene):
    assert detect(scene, []) == []
