# SPDX-License-Identifier: Apache-2.0
"""The authors' packages and transformers tell the same of the same pictures, with the same weights."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from transformers import AutoTokenizer

from models.backends.grounding_dino import GroundingDino
from models.backends.original.agreement import detectors_apart, segmenters_apart
from models.backends.original.checkpoint import read_checkpoint
from models.backends.original.convert import converted
from models.backends.original.dino_layout import (
    LENGTH,
    TEMPERATURE,
    BertLayout,
    DinoLayout,
    SwinLayout,
    dino_layout,
)
from models.backends.original.dino_model import built as built_dino
from models.backends.original.groundingdino_py import GroundingDinoPy
from models.backends.original.sam_layout import sam_layout
from models.backends.original.segment_anything import SegmentAnything
from models.backends.original.segment_anything import built as built_sam
from models.backends.sam import Sam
from models.miniature.world import render_scene, sample_scene
from tests.original.conftest import TEXT

SIZES = {"short_side": 96, "long_side": 160}


SHAPES = ((128, 96), (96, 128), (200, 80), (64, 64))


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(sample_scene(3, index), 128) for index in range(len(SHAPES))]


@pytest.fixture(scope="module")
def pictures(scenes):
    """Of different sizes and shapes."""
    return [scene.image.resize(shape) for scene, shape in zip(scenes, SHAPES, strict=True)]


@pytest.fixture(scope="module")
def detectors(dino_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "dino"
    assert converted(dino_path, folder, TEXT, 8) == "grounding_dino"
    return GroundingDino(model=str(folder), **SIZES), GroundingDinoPy(
        model=str(dino_path), text=TEXT, **SIZES
    )


@pytest.fixture(scope="module")
def segmenters(sam_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "sam"
    assert converted(sam_path, folder, TEXT, 4) == "sam"
    return Sam(model=str(folder)), SegmentAnything(model=str(sam_path), decoder_heads=4)


@pytest.mark.parametrize(
    "texts",
    [
        ["cat .", "a red mug . dog .", "boat .", "fish . bird . tree . car ."],
        ["cat . dog ."] * 4,
        ["a blue striped cat , a dog ."] * 2,
    ],
    ids=["different", "alike", "commas"],
)
def test_logits_and_boxes(detectors, pictures, texts):
    for difference in detectors_apart(*detectors, pictures[: len(texts)], texts):
        assert difference.agrees, difference.line()


def test_one_picture_at_a_time_is_as_all_together(detectors, pictures):
    _, theirs = detectors
    loaded, phrases = theirs.load(), [["cat"], ["red mug", "dog"], ["boat"], ["fish", "bird"]]
    together = loaded.detect(pictures, phrases, 0.3)
    alone = [loaded.detect([one], [its], 0.3)[0] for one, its in zip(pictures, phrases, strict=True)]
    assert any(together)
    for some, others in zip(together, alone, strict=True):
        assert [each.phrase for each in some] == [each.phrase for each in others]
        for one, other in zip(some, others, strict=True):
            assert one.box == pytest.approx(other.box, abs=1e-2)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_detections_have_the_same_labels(detectors, pictures):
    phrases = [["cat", "dog"], ["a red mug", "table"], [], ["fish"] * 3]
    ours, theirs = (each.load().detect(pictures, phrases, 0.3) for each in detectors)
    assert sum(map(len, ours)) > 5
    assert not ours[2]
    for some, others in zip(ours, theirs, strict=True):
        assert [each.phrase for each in some] == [each.phrase for each in others]


def test_masks_and_scores(segmenters, scenes, pictures):
    """Of subjects, in pictures of other shapes, with other numbers of boxes."""
    rng, boxes = np.random.default_rng(4), []
    for scene, image, count in zip(scenes, pictures, (1, 5, 0, 40), strict=True):
        found = np.array([box_of(subject.mask) for subject in scene.subjects])
        chosen = found[np.arange(count) % len(found)] + rng.uniform(-0.02, 0.02, (count, 4))
        boxes.append(chosen.clip(0, 1) * np.array([*image.size] * 2))
    for difference in segmenters_apart(*segmenters, pictures, boxes):
        assert difference.agrees, difference.line()


def test_compiled_in_batches_that_are_filled_up_they_find_the_same(detectors, segmenters, scenes, pictures):
    _, detector = detectors
    phrases = [["cat"], ["red mug", "dog"], ["boat"]]
    plain, fast = (
        each.load().detect(pictures[:3], phrases, 0.3) for each in (detector, replace(detector, compile=True))
    )
    assert any(plain)
    for some, others in zip(plain, fast, strict=True):
        assert [each.phrase for each in some] == [each.phrase for each in others]
        for one, other in zip(some, others, strict=True):
            assert one.box == pytest.approx(other.box, abs=0.1)
    _, segmenter = segmenters
    boxes = [
        np.array([box_of(subject.mask) for subject in scene.subjects]) * np.array([*image.size] * 2)
        for scene, image in zip(scenes[:3], pictures[:3], strict=True)
    ]
    plain, fast = (
        each.load().segment(pictures[:3], boxes) for each in (segmenter, replace(segmenter, compile=True))
    )
    for some, others in zip(plain, fast, strict=True):
        for one, other in zip(some, others, strict=True):
            assert (one.pixels != other.pixels).mean() < 0.01
            assert one.score == pytest.approx(other.score, abs=1e-3)


def box_of(mask_HW):
    """Shares of a side."""
    rows, columns = (np.flatnonzero(mask_HW.any(axis)) for axis in (1, 0))
    edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return edges / np.array([*mask_HW.shape[::-1]] * 2)


def test_logits_of_any_boxes_at_all(segmenters, pictures):
    """Of boxes that hold nothing, where a mask's edge hangs on the last bits."""
    ours, theirs = (each.load() for each in segmenters)
    rng = np.random.default_rng(5)
    boxes = torch.from_numpy(np.sort(rng.uniform(0, 160, (2, 6, 2, 2)), axis=2).reshape(2, 6, 4))
    side = ours._processor.pad_size
    pixels = ours._pixels.batch(pictures[:2], (side["height"], side["width"]))
    told = []
    for each in (ours, theirs):
        with torch.inference_mode():
            told.append(each._model.decode(each._model.encode(pixels), boxes))
    for one, other in zip(*told, strict=True):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max()


@pytest.mark.parametrize("which", ["detectors", "segmenters"])
def test_lower_precision_runs_and_is_near(request, pictures, which):
    _, theirs = request.getfixturevalue(which)
    low = replace(theirs, dtype="bfloat16", device="cpu").load()
    if which == "detectors":
        some, others = (each.raw(pictures[:2], ["cat . dog ."] * 2)[1] for each in (low, theirs.load()))
        assert 0 < (some - others).abs().median() < 0.1
    else:
        boxes = [np.array([[10.0, 10.0, 60.0, 60.0]])] * 2
        some, others = (each.segment(pictures[:2], boxes) for each in (low, theirs.load()))
        for (one,), (other,) in zip(some, others, strict=True):
            assert (one.pixels != other.pixels).mean() < 0.05


def test_sizes_are_read_from_the_weights(dino_path, sam_path):
    dino = dino_layout(read_checkpoint(dino_path))
    assert (dino.swin.depths, dino.swin.heads, dino.swin.window) == ((2, 1, 2, 1), (1, 2, 3, 4), 5)
    assert (dino.heads, dino.encoder_points, dino.queries, dino.bert.layers) == (8, 4, 40, 2)
    sam = sam_layout(read_checkpoint(sam_path), 4)
    assert (sam.heads, sam.window, sam.everywhere, sam.side) == (4, 10, (1, 3), 160)


SWINS = {
    "groundingdino_swint_ogc": SwinLayout(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "groundingdino_swinb_cogcoor": SwinLayout(128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
}


@pytest.mark.parametrize("name", SWINS)
def test_published_detectors_are_known_by_their_weights(name):
    """Of full size, without memory for them."""
    layout = DinoLayout(SWINS[name], BertLayout(768, 12, 3072, 30522, 512), 256, 8, 6, 6, 2048, 4, 4, 4, 900)
    tokenizer = AutoTokenizer.from_pretrained(TEXT)
    # Without memory for weights; numbers are still numbers.
    with init_empty_weights():
        model = built_dino(layout, tokenizer)
    assert dino_layout(model.state_dict()) == layout


@pytest.mark.parametrize(("name", "swin"), [("GroundingDINO_SwinT_OGC", 0), ("GroundingDINO_SwinB_cfg", 1)])
def test_what_weights_do_not_tell_is_what_the_package_has_written(name, swin):
    """Its own configuration files beside the numbers that are written out here."""
    import groundingdino

    path = Path(groundingdino.__file__).parent / "config" / f"{name}.py"
    theirs = runpy.run_path(str(path))
    assert theirs["pe_temperatureH"] == theirs["pe_temperatureW"] == TEMPERATURE
    assert theirs["max_text_len"] == LENGTH
    ours = [*SWINS.values()][swin]
    assert theirs["backbone"] == f"swin_{'TB'[swin]}_{(224, 384)[swin]}_{('1k', '22k')[swin]}"
    layout = DinoLayout(ours, BertLayout(768, 12, 3072, 30522, 512), 256, 8, 6, 6, 2048, 4, 4, 4, 900)
    numbers = {
        "hidden_dim": layout.width,
        "nheads": layout.heads,
        "enc_layers": layout.encoder_layers,
        "dec_layers": layout.decoder_layers,
        "dim_feedforward": layout.inner,
        "num_feature_levels": layout.levels,
        "enc_n_points": layout.encoder_points,
        "dec_n_points": layout.decoder_points,
        "num_queries": layout.queries,
    }
    assert {name: theirs[name] for name in numbers} == numbers
    assert theirs["text_encoder_type"] == "bert-base-uncased"
    assert (theirs["two_stage_type"], theirs["transformer_activation"]) == ("standard", "relu")
    for shared in ("dec_pred_bbox_embed_share", "embed_init_tgt", "use_text_enhancer", "use_fusion_layer"):
        assert theirs[shared] is True
    for apart in ("two_stage_bbox_embed_share", "two_stage_class_embed_share"):
        assert theirs[apart] is False


@pytest.mark.parametrize("name", ["vit_h", "vit_l", "vit_b"])
def test_published_segmenters_are_known_by_their_weights(name):
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        weights = sam_model_registry[name]().state_dict()
        again = built_sam(sam_layout(weights)).state_dict()
    assert {key: each.shape for key, each in again.items()} == {k: each.shape for k, each in weights.items()}
    widths = {"vit_h": (1280, 32, 16), "vit_l": (1024, 24, 16), "vit_b": (768, 12, 12)}
    found = sam_layout(weights)
    assert (found.width, found.depth, found.heads, found.window) == (*widths[name], 14)
