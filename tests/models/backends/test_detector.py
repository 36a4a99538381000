# SPDX-License-Identifier: Apache-2.0
"""What every detector has to hold, on the miniature; and the full-size architecture with random weights."""

import numpy as np
import pytest

from models.backends.grounding_dino import GroundingDino, MmGroundingDino
from models.miniature.world import NOUNS, render_scene, sample_scene
from stages.boxes import ious


@pytest.fixture(scope="module")
def detector():
    return GroundingDino(model="miniature:detector").load()


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(sample_scene(41, index), 256) for index in range(12)]


def nouns_of(scene):
    return [subject.identity.noun for subject in scene.subjects]


def close(one, other):
    assert [d.phrase for d in one] == [d.phrase for d in other]
    for a, b in zip(one, other, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        assert a.box == pytest.approx(b.box, abs=0.05)


def test_boxes_are_pixels_of_the_image_and_sorted(detector, scenes):
    found = detector.detect([s.image for s in scenes], [list(NOUNS)] * len(scenes), 0.05)
    for scene, detections in zip(scenes, found, strict=True):
        assert detections
        assert [d.score for d in detections] == sorted((d.score for d in detections), reverse=True)
        for d in detections:
            x1, y1, x2, y2 = d.box
            assert 0 <= x1 < x2 <= scene.image.width
            assert 0 <= y1 < y2 <= scene.image.height
            assert 0.05 < d.score <= 1


def test_the_label_is_the_phrase_that_was_scored(detector, scenes):
    right = wanted = 0
    for scene in scenes:
        phrases = ["thing", *nouns_of(scene), "the big yellow bus"]
        (found,) = detector.detect([scene.image], [phrases], 0.3)
        for subject in scene.subjects:
            wanted += 1
            mine = [d.box for d in found if phrases[d.phrase] == subject.identity.noun]
            right += bool(mine) and ious(np.array(mine), np.array([subject.box])).max() > 0.5
    assert right >= 0.85 * wanted


def test_a_result_does_not_depend_on_the_batch(detector, scenes):
    images = [s.image for s in scenes[:4]]
    images[1] = images[1].resize((200, 120))
    phrases = [["cat"], list(NOUNS), ["red cat", "mug", "thing"], nouns_of(scenes[3])]
    together = detector.detect(images, phrases, 0.2)
    for image, wanted, found in zip(images, phrases, together, strict=True):
        close(detector.detect([image], [wanted], 0.2)[0], found)


def test_more_phrases_than_a_prompt_holds_are_all_asked(detector, scenes):
    many = ["thing"] * 60 + nouns_of(scenes[0])
    (found,) = detector.detect([scenes[0].image], [many], 0.3)
    (few,) = detector.detect([scenes[0].image], [nouns_of(scenes[0])], 0.3)
    assert {many[d.phrase] for d in found} >= {nouns_of(scenes[0])[d.phrase] for d in few} != set()


def test_no_phrases_no_boxes(detector, scenes):
    assert detector.detect([scenes[0].image, scenes[1].image], [[], ["..."]], 0.1) == [[], []]
    assert detector.detect([], [], 0.1) == []


@pytest.mark.parametrize(
    ("kind", "name"), [(GroundingDino, "GroundingDino"), (MmGroundingDino, "MMGroundingDino")]
)
def test_the_full_architecture_runs_through_the_same_code(kind, name, tmp_path):
    """Swin-T, 900 queries, 256 text tokens, random weights: shapes and batch independence."""
    import torch
    import transformers
    from transformers import GroundingDinoImageProcessorPil, GroundingDinoProcessor

    from models.miniature.train.tokenizers import phrase_tokenizer

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")()
    model = getattr(transformers, f"{name}ForObjectDetection")(config)
    # Zero-initialised box heads would make every query the same.
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path)
    GroundingDinoProcessor(GroundingDinoImageProcessorPil(), phrase_tokenizer()).save_pretrained(tmp_path)
    detector = kind(model=str(tmp_path), short_side=224, long_side=320).load()
    images = [
        render_scene(sample_scene(5, 0), 256).image,
        render_scene(sample_scene(5, 1), 256).image.crop((0, 0, 256, 150)),
    ]
    together = detector.detect(images, [["cat", "dog"], ["mug"]], 0.0)
    assert [len(found) for found in together] == [900, 900]
    alone = detector.detect(images[1:], [["mug"]], 0.0)[0]
    assert sorted(d.score for d in alone) == pytest.approx(sorted(d.score for d in together[1]), abs=1e-3)
