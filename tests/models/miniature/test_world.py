# SPDX-License-Identifier: Apache-2.0
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from models.miniature.who import Who
from models.miniature.world import (
    BACKGROUNDS,
    NOUNS,
    Identity,
    all_identities,
    caption_of,
    held_out_identity,
    render_scene,
    sample_scene,
    write_scenes,
)
from models.miniature.world.sprite import draw_sprite

seeds, indices = st.integers(0, 2**31), st.integers(0, 10_000)


@settings(max_examples=15, deadline=None)
@given(seeds, indices)
def test_a_scene_is_a_pure_function_of_seed_and_index(seed, index):
    one, other = (render_scene(sample_scene(seed, index), 96) for _ in range(2))
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))
    assert one.caption == other.caption


@settings(max_examples=30, deadline=None)
@given(seeds, indices)
def test_masks_are_disjoint_inside_the_image_and_boxes_fit_them(seed, index):
    rendered = render_scene(sample_scene(seed, index), 128)
    total = np.sum([subject.mask for subject in rendered.subjects], axis=0)
    assert total.max() == 1
    for subject in rendered.subjects:
        x1, y1, x2, y2 = subject.box
        assert 0 <= x1 < x2 <= 128
        assert 0 <= y1 < y2 <= 128
        assert subject.mask[y1:y2, x1:x2].sum() == subject.mask.sum() > 0
        assert subject.mask[y1].any()
        assert subject.mask[:, x2 - 1].any()


@settings(max_examples=30, deadline=None)
@given(seeds, indices)
def test_the_caption_names_every_subject_once_and_the_background(seed, index):
    scene = sample_scene(seed, index)
    words = scene.caption.replace(",", "").split()
    nouns = [placement.identity.noun for placement in scene.placements]
    assert sorted(word for word in words if word in NOUNS) == sorted(nouns)
    assert scene.caption.endswith(BACKGROUNDS[scene.background])
    assert len(set(nouns)) == len(nouns)


def test_most_of_every_subject_can_be_seen():
    shares = []
    for index in range(60):
        scene = sample_scene(3, index)
        for subject, placement in zip(
            render_scene(scene, 128).subjects, sorted(scene.placements, key=lambda p: p.identity), strict=True
        ):
            alone = draw_sprite(
                placement.identity, round(placement.side * 128), placement.angle, placement.mirror
            )
            shares.append(subject.mask.sum() / (np.asarray(alone.getchannel("A")) >= 128).sum())
    assert np.mean(shares) > 0.95
    assert np.quantile(shares, 0.02) > 0.6


def test_captions_read_well():
    cat = Identity("cat", "red", "blue", "plain", "slim", 0)
    dog = Identity("dog", "orange", "blue", "plain", "slim", 0)
    mug = Identity("mug", "blue", "red", "plain", "slim", 0)
    assert caption_of([cat], "snow") == "a red cat in the snow"
    assert caption_of([mug, dog, cat], "night") == "a red cat, an orange dog and a blue mug at night"


def test_identities_are_all_different_and_look_different():
    identities = list(all_identities())
    assert len({identity.id for identity in identities}) == len(identities) == 12 * 8 * 7 * 3 * 3 * 2
    cats = [identity for identity in identities if identity.noun == "cat" and identity.build == "regular"]
    pictures = {draw_sprite(identity, 48).tobytes() for identity in cats[::7]}
    assert len(pictures) == len(cats[::7])


def test_one_two_and_three_subjects_all_occur():
    counts = Counter(len(sample_scene(9, index).placements) for index in range(300))
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 40


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_number_of_subjects_can_be_chosen(count):
    assert len(sample_scene(0, 0, count=count).placements) == count


def test_a_centred_scene_has_one_large_subject_near_the_middle():
    (placement,) = sample_scene(0, 5, layout="centred").placements
    assert np.allclose(placement.centre, 0.5, atol=0.08)
    assert placement.side > 0.6


def test_written_scenes_match_their_truth(tmp_path):
    write_scenes(tmp_path, count=5, seed=11, size=96)
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == [f"{index:06d}.jpg" for index in range(5)]
    for index, line in enumerate(lines):
        rendered = render_scene(sample_scene(11, index), 96)
        with Image.open(tmp_path / "images" / line["file"]) as image:
            assert image.size == (line["width"], line["height"]) == (96, 96)
            assert np.abs(np.asarray(image, float) - np.asarray(rendered.image, float)).mean() < 6
        assert line["caption"] == rendered.caption
        for item, subject in zip(line["objects"], rendered.subjects, strict=True):
            assert np.array_equal(coco_mask.decode(item["rle"]).astype(bool), subject.mask)
            assert tuple(item["box"]) == subject.box
            assert item["identity_id"] == subject.identity.id
            assert item["identity"]["noun"] == item["noun"]


@pytest.mark.parametrize(
    ("who", "held"), [("trained", {False}), ("held_out", {True}), ("anyone", {False, True})]
)
def test_scenes_of_chosen_subjects(tmp_path, who, held):
    write_scenes(tmp_path, count=40, seed=5, size=32, who=Who(who))
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert len(lines) == 40
    assert {held_out_identity(Identity(**o["identity"])) for line in lines for o in line["objects"]} == held
