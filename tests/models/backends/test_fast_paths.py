# SPDX-License-Identifier: Apache-2.0
"""What makes models fast leaves what they say: bfloat16, compiled parts, caches of one size, padded shapes.

Each beside the plain float32 path, on the miniature.
"""

import numpy as np
import pytest
import torch
import torch._dynamo.utils

from models.backends.blip2 import Blip2
from models.backends.compiling import Compiling
from models.backends.grounding_dino import GroundingDino
from models.backends.sam import Sam
from models.miniature.world import NOUNS, render_scene, sample_scene
from stages.boxes import ious


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(sample_scene(47, index), 256) for index in range(6)]


def images_of(scenes):
    images = [scene.image for scene in scenes]
    images[1] = images[1].crop((0, 20, 256, 200))
    return images


def compiled_graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.fixture
def graphs():
    """How many have been compiled since."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield compiled_graphs
    torch._dynamo.reset()


def captions(scenes, **fast):
    return (
        Blip2(model="miniature:captioner", max_new_tokens=24, dtype=fast.pop("dtype", "float32"), **fast)
        .load()
        .caption(images_of(scenes))
    )


def boxes(scenes, **fast):
    detector = GroundingDino(model="miniature:detector", dtype=fast.pop("dtype", "float32"), **fast)
    found = detector.load().detect(images_of(scenes), [list(NOUNS)] * len(scenes), 0.3)
    assert all(found)
    return found


def masks(scenes, **fast):
    wanted = [np.array([subject.box for subject in scene.subjects]) for scene in scenes]
    segmenter = Sam(model="miniature:segmenter", dtype=fast.pop("dtype", "float32"), **fast).load()
    return segmenter.segment([scene.image for scene in scenes], wanted)


def assert_boxes_near(found, plain, least, usually, apart, sure=0.4):
    """Every sure box of the one is a box of the other, with the same phrase, and the other way round.

    One subject may be found twice, since the detector suppresses nothing: the surer box counts.
    """
    _assert_found_again(found, plain, least, usually, apart, sure)
    # What is asked for scores above 0.3.
    _assert_found_again(plain, found, least, usually, apart, max(sure, 0.3 + apart))


def _assert_found_again(found, plain, least, usually, apart, sure):
    near = []
    for ours, theirs in zip(found, plain, strict=True):
        for one in (each for each in theirs if each.score > sure):
            same = [each for each in ours if each.phrase == one.phrase]
            overlap = ious(np.array([each.box for each in same]), np.array([one.box]))[:, 0]
            near.append(overlap.max())
            surest = max(each.score for each, over in zip(same, overlap, strict=True) if over > least)
            assert surest == pytest.approx(one.score, abs=apart)
    assert min(near) > least
    assert np.mean(near) > usually


def assert_masks_near(found, plain, least, apart):
    for ours, theirs in zip(found, plain, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            union = (one.pixels | other.pixels).sum()
            assert (one.pixels & other.pixels).sum() >= least * union
            assert one.score == pytest.approx(other.score, abs=apart)


def test_bfloat16_captions_are_the_same_token_for_token(scenes):
    assert captions(scenes, dtype="bfloat16") == captions(scenes)


def test_compiled_captions_are_the_same_token_for_token(scenes, graphs):
    assert captions(scenes, compile=True) == captions(scenes)
    assert graphs() >= 2


def test_decoding_is_compiled_once_for_batches_of_one_size(scenes, graphs):
    """As on a GPU, where transformers compiles the language model; its cache has to stay where it is."""
    from transformers import CompileConfig

    plain = captions(scenes)
    captioner = Blip2(model="miniature:captioner", max_new_tokens=24, dtype="float32", compile=True).load()
    how = CompileConfig(mode="default")
    how._compile_all_devices = True
    captioner._model.language_model.generation_config.compile_config = how
    assert captioner.caption(images_of(scenes)) == plain
    there, places = graphs(), _addresses(captioner)
    assert captioner.caption([*reversed(images_of(scenes))]) == plain[::-1]
    assert graphs() == there
    assert _addresses(captioner) == places != set()


def _addresses(captioner):
    return {
        keep.data_ptr()
        for cache in captioner._caches.values()
        for layer in cache.layers
        for keep in (layer.keys, layer.values)
    }


def test_bfloat16_boxes(scenes):
    assert_boxes_near(boxes(scenes, dtype="bfloat16"), boxes(scenes), 0.8, 0.95, 0.25)


def test_compiled_boxes(scenes, graphs):
    assert_boxes_near(boxes(scenes, compile=True), boxes(scenes), 0.99, 0.999, 1e-3)
    assert graphs() >= 1


def test_boxes_of_pictures_that_are_padded_less(scenes):
    # Swin's windows reach into what is padded, which is a quarter of such a small picture.
    assert_boxes_near(boxes(scenes, pad_to=32), boxes(scenes), 0.7, 0.9, 0.35, sure=0.7)


def test_bfloat16_masks(scenes):
    assert_masks_near(masks(scenes, dtype="bfloat16"), masks(scenes), 0.95, 0.02)


def test_compiled_masks(scenes, graphs):
    assert_masks_near(masks(scenes, compile=True), masks(scenes), 0.999, 1e-3)
    assert graphs() >= 1


def test_boxes_that_are_decoded_in_chunks_are_the_same_masks(scenes):
    assert_masks_near(masks(scenes, boxes_at_once=1), masks(scenes), 0.999, 1e-4)


@pytest.mark.parametrize(("rows", "filled"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_a_batch_is_filled_up_to_a_power_of_two(rows, filled):
    batch = torch.arange(rows * 2.0).view(rows, 2)
    more = Compiling(True).filled(batch)
    assert len(more) == filled
    assert torch.equal(more[:rows], batch)
    assert (more[rows:] == batch[-1]).all()
    assert Compiling(False).filled(batch) is batch
