# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from models.miniature.world import render_scene, sample_scene
from models.subject_diffusion.location_map import location_map
from models.subject_diffusion.options import Background
from pipeline.train.captions import Phrase
from pipeline.train.example import Frame, Unusable, example_of
from pipeline.train.records import Record
from pipeline.train.reference import augmented, cut_out, upon
from pipeline.train.rules import Rules
from pipeline.train.selection import Candidate

FRAME = Frame(pixels=64, reference_pixels=32)
RULES = Rules(area=(0.02, 0.9), white=1)


def no_other():
    pytest.fail("no other picture was asked for")


def scene(index, width=120, height=120):
    rendered = render_scene(sample_scene(5, index), 120)
    image = rendered.image.resize((width, height))
    candidates = []
    for place, subject in enumerate(rendered.subjects):
        mask = np.asarray(Image.fromarray(subject.mask).resize((width, height)))
        if mask.any():
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
            candidates.append(Candidate(subject.identity.noun, box, 0.9 - place / 10, mask))
    return Record(image, rendered.caption, tuple(candidates))


@pytest.mark.parametrize("size", [(120, 120), (200, 120), (120, 180)])
def test_everything_is_in_one_frame(size):
    seen = 0
    for index in range(20):
        try:
            found = example_of(scene(index, *size), RULES, FRAME, np.random.default_rng(index), no_other)
        except Unusable:
            continue
        seen += 1
        count = len(found.labels)
        assert found.image_SSC.shape == (64, 64, 3)
        assert found.box_K4.shape == (count, 4)
        assert found.mask_KSS.shape == (count, 64, 64)
        assert found.reference_KRRC.shape == (count, 32, 32, 3)
        assert (found.box_K4 >= 0).all()
        assert (found.box_K4 <= 1).all()
        for box, mask in zip(found.box_K4, found.mask_KSS, strict=True):
            # Where the location map has a hole the subject is, and hardly anywhere else.
            inside = location_map(torch.tensor(box)[None, None], torch.tensor([[True]]), 64, 64)[0, 0] == 0
            assert (mask & ~inside.numpy()).sum() <= 0.08 * mask.sum()
    assert seen >= 10


def test_the_same_dice_give_the_same_example():
    one, other = (example_of(scene(3), RULES, FRAME, np.random.default_rng(7), no_other) for _ in range(2))
    for name in ("image_SSC", "box_K4", "mask_KSS", "reference_KRRC"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("record", "rules", "reason"),
    [
        (scene(3), Rules(score=0.95, white=1), "score"),
        (Record(Image.new("RGB", (50, 50), "white"), "", ()), Rules(), "white_background"),
        (Record(Image.new("RGB", (50, 50)), "", ()), Rules(), "no_entity"),
        (scene(3), Rules(area=(0.02, 0.9), white=1, cropped_area=1e9), "cropped_away"),
    ],
)
def test_why_a_sample_is_of_no_use(record, rules, reason):
    with pytest.raises(Unusable, match=reason):
        example_of(record, rules, FRAME, np.random.default_rng(0), no_other)


def test_captions_may_not_say_how_subjects_look():
    record = replace(scene(3), caption="a red cat", phrases=(Phrase("cat", 2, 6),))
    record = replace(record, candidates=(replace(record.candidates[0], label="cat"),))
    found = {
        share: [
            example_of(record, RULES, FRAME, np.random.default_rng(seed), no_other, share).caption
            for seed in range(40)
        ]
        for share in (0, 0.5, 1)
    }
    assert {*found[0]} == {"a red cat"}
    assert {*found[1]} == {"a cat"}
    assert 8 < found[0.5].count("a cat") < 32


def test_nothing_else_depends_on_the_caption():
    one, other = (
        example_of(scene(3), RULES, FRAME, np.random.default_rng(7), no_other, share) for share in (0, 1)
    )
    assert np.array_equal(one.image_SSC, other.image_SSC)
    assert np.array_equal(one.reference_KRRC, other.reference_KRRC)


def test_a_reference_is_its_subject_on_white():
    record = scene(3)
    candidate = record.candidates[0]
    square = cut_out(record.image, candidate.mask_HW, candidate.box)
    x0, y0, x1, y1 = map(int, candidate.box)
    assert square.size == (max(x1 - x0, y1 - y0),) * 2
    pixels = np.asarray(square)
    assert (pixels[..., 3] > 0).sum() == candidate.mask_HW.sum()
    assert (pixels[pixels[..., 3] == 0][:, :3] == 255).all()
    with pytest.raises(ValueError, match="nothing of the subject"):
        cut_out(record.image, np.zeros_like(candidate.mask_HW), candidate.box)


def test_augmented_references_stay_on_white():
    square = Image.new("RGB", (60, 60), "white")
    square.paste((200, 30, 30), (20, 20, 40, 40))
    for seed in range(40):
        found = np.asarray(augmented(square, 32, np.random.default_rng(seed)))
        assert found.shape == (32, 32, 3)
        corners = found[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners > 240).all()
        red = (found[..., 1] < 128).sum()
        assert 0.3 < red / (32 * 32 / 9) < 1.5


def test_a_reference_upon_another_picture():
    square = Image.new("RGBA", (60, 60), (255, 255, 255, 0))
    square.paste((200, 30, 30, 255), (20, 20, 40, 40))
    # What is white in a subject belongs to it.
    square.paste((255, 255, 255, 255), (28, 28, 32, 32))
    found = np.asarray(upon(square, Image.new("RGB", (90, 50), (10, 10, 200)), 64, np.random.default_rng(0)))
    assert (found[..., 0] > 150).mean() == pytest.approx(0.5 / 9, rel=0.3)
    assert (found.min(-1) > 200).mean() == pytest.approx(0.5 / 225, rel=0.8)
    assert (found[..., 2] > 150).mean() > 0.9


@pytest.mark.parametrize("background", [Background.random_image, Background.mix])
def test_backgrounds(background):
    asked = []

    def other():
        asked.append(1)
        return Image.new("RGB", (50, 50), (10, 10, 200))

    frame = Frame(pixels=64, reference_pixels=32, background=background)
    shown = [
        example_of(scene(3), RULES, frame, np.random.default_rng(seed), other).reference_KRRC.shape[0]
        for seed in range(20)
    ]
    assert len(asked) == sum(shown) if background == Background.random_image else 0 < len(asked) < sum(shown)
