# SPDX-License-Identifier: Apache-2.0
"""What every segmenter has to hold, on the miniature; and the full-size architecture with random weights."""

import numpy as np
import pytest

from models.backends.sam import Sam
from models.miniature.world import render_scene, sample_scene


@pytest.fixture(scope="module")
def segmenter():
    return Sam(model="miniature:segmenter", boxes_at_once=2).load()


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(sample_scene(42, index), 256) for index in range(8)]


def boxes_of(scene):
    return np.array([subject.box for subject in scene.subjects], dtype=float)


def test_masks_have_the_size_of_their_image_and_fit_the_truth(segmenter, scenes):
    found = segmenter.segment([s.image for s in scenes], [boxes_of(s) for s in scenes])
    ious = []
    for scene, masks in zip(scenes, found, strict=True):
        for subject, mask in zip(scene.subjects, masks, strict=True):
            assert mask.pixels.shape == (scene.image.height, scene.image.width)
            assert mask.pixels.dtype == bool
            assert 0 <= mask.stability <= 1
            ious.append((mask.pixels & subject.mask).sum() / (mask.pixels | subject.mask).sum())
    assert np.mean(ious) > 0.8


def test_a_result_does_not_depend_on_the_batch(segmenter, scenes):
    images = [s.image for s in scenes[:3]]
    images[1] = images[1].resize((180, 100))
    boxes = [boxes_of(scenes[0]), np.array([[10.0, 10, 90, 80]]), boxes_of(scenes[2]).repeat(3, axis=0)]
    together = segmenter.segment(images, boxes)
    for image, box, masks in zip(images, boxes, together, strict=True):
        (alone,) = segmenter.segment([image], [box])
        for one, other in zip(alone, masks, strict=True):
            assert (one.pixels != other.pixels).sum() <= 2
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_an_image_without_boxes_has_no_masks(segmenter, scenes):
    found = segmenter.segment([scenes[0].image, scenes[1].image], [np.zeros((0, 4)), boxes_of(scenes[1])])
    assert [len(masks) for masks in found] == [0, len(scenes[1].subjects)]
    assert segmenter.segment([scenes[0].image], [np.zeros((0, 4))]) == [[]]


def test_the_full_architecture_runs_through_the_same_code(tmp_path):
    """1024 pixels, patch 16, ViT-H's width and heads with two of its layers, random weights."""
    import torch
    from transformers import SamConfig, SamImageProcessorPil, SamModel, SamProcessor

    torch.manual_seed(0)
    vision = {
        "hidden_size": 1280,
        "num_hidden_layers": 2,
        "num_attention_heads": 16,
        "global_attn_indexes": [1],
    }
    SamModel(SamConfig(vision_config=vision)).save_pretrained(tmp_path)
    SamProcessor(SamImageProcessorPil()).save_pretrained(tmp_path)
    segmenter = Sam(model=str(tmp_path)).load()
    image = render_scene(sample_scene(5, 0), 256).image.crop((0, 0, 256, 200))
    (masks,) = segmenter.segment([image], [np.array([[10.0, 20, 100, 150], [50, 50, 200, 180]])])
    assert [mask.pixels.shape for mask in masks] == [(200, 256)] * 2


def test_bfloat16_knows_where_a_box_is(tmp_path):
    """Corners beyond 512 pixels, which bfloat16 counts by fours, of SAM's own square."""
    import torch
    from transformers import SamConfig, SamImageProcessorPil, SamModel, SamProcessor

    torch.manual_seed(0)
    vision = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "global_attn_indexes": [0]}
    SamModel(SamConfig(vision_config=vision)).save_pretrained(tmp_path)
    SamProcessor(SamImageProcessorPil()).save_pretrained(tmp_path)
    image = render_scene(sample_scene(5, 0), 256).image.resize((1024, 1024))
    boxes = np.array([[513.0, 519, 1022, 1001], [514, 519, 1022, 1001], [513, 519, 1021, 1002]])
    prompts = {}
    for dtype in ("float32", "bfloat16"):
        segmenter = Sam(model=str(tmp_path), dtype=dtype).load()
        decoder = segmenter._model._model.mask_decoder
        decoder.register_forward_pre_hook(
            lambda _, __, given, dtype=dtype: prompts.update(
                {dtype: given["sparse_prompt_embeddings"].float()}
            ),
            with_kwargs=True,
        )
        segmenter.segment([image], [boxes])
    apart = (prompts["float32"] - prompts["bfloat16"]).abs().mean()
    one_pixel = (prompts["float32"][0, 0] - prompts["float32"][0, 1]).abs().mean()
    assert apart < one_pixel
