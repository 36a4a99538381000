# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.backends.weights import located
from models.miniature.judge import Judge
from models.miniature.judge.accuracy import Accuracy, held_out_scenes
from models.miniature.world.styles import STYLES


@pytest.fixture(scope="module")
def scenes():
    return [each for some in held_out_scenes(40) for each in some]


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_a_style_can_be_taken_off_again(style):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    again = np.asarray(style.undone(style.painted(Image.fromarray(pixels))), int)
    assert np.abs(again - pixels).max() <= 2


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_a_style_is_seen_where_it_is_and_not_where_it_is_not(style, scenes):
    for scene in scenes:
        assert style.shown(style.painted(scene.image)) > 0.99
        assert style.shown(scene.image) < 0.7
        for other in STYLES.values():
            assert other is style or style.shown(other.painted(scene.image)) < 0.7


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_the_judge_reads_what_is_below(style, scenes):
    judge, found = Judge.from_pretrained(Path(located("miniature:judge"))), Accuracy()
    read = judge.read([style.undone(style.painted(scene.image)) for scene in scenes])
    for truth, reading in zip(scenes, read, strict=True):
        found.add(truth, reading)
    assert found["identity"] > 0.95
    assert found["background"] > 0.95
