# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.train.geometry import Crop, square_crop


@st.composite
def pictures(draw):
    """Width, height and a box of whole pixels."""
    width, height = draw(st.integers(64, 200)), draw(st.integers(64, 200))
    x0, y0 = draw(st.integers(0, width - 20)), draw(st.integers(0, height - 20))
    x1, y1 = draw(st.integers(x0 + 20, width)), draw(st.integers(y0 + 20, height))
    return width, height, (float(x0), float(y0), float(x1), float(y1))


def rectangle(width, height, box):
    found = np.zeros((height, width), bool)
    x0, y0, x1, y1 = map(round, box)
    found[y0:y1, x0:x1] = True
    return found


@settings(deadline=None)
@given(pictures(), st.integers(0, 100), st.sampled_from([64, 256, 512]))
def test_picture_box_and_mask_stay_aligned(picture, seed, size):
    width, height, box = picture
    crop = square_crop(width, height, [box], size, np.random.default_rng(seed))
    moved = crop.of_box(box)
    assume(min(moved[2] - moved[0], moved[3] - moved[1]) >= size / 8)
    mask = rectangle(width, height, box)
    mask_SS = crop.of_mask(mask)
    expected = rectangle(size, size, moved)
    assert (mask_SS & expected).sum() / (mask_SS | expected).sum() >= 0.9
    shown = np.asarray(crop.of_image(Image.fromarray(mask.astype(np.uint8) * 255))) > 127
    assert (mask_SS == shown).mean() > 0.95


@settings(deadline=None)
@given(pictures(), pictures(), st.integers(0, 100))
def test_all_boxes_are_inside_if_any_square_holds_them(picture, other, seed):
    width, height, box = picture
    boxes = [
        box,
        tuple(min(value, limit) for value, limit in zip(other[2], (width, height) * 2, strict=True)),
    ]
    assume(all(b[2] - b[0] > 1 and b[3] - b[1] > 1 for b in boxes))
    side = min(width, height)
    crop = square_crop(width, height, boxes, side, np.random.default_rng(seed))
    assert 0 <= crop.left <= width - side
    assert 0 <= crop.top <= height - side
    spans = [max(b[k + 2] for b in boxes) - min(b[k] for b in boxes) for k in (0, 1)]
    if max(spans) <= side:
        for b in boxes:
            x0, y0, x1, y1 = crop.of_box(b)
            assert (x1 - x0, y1 - y0) == (b[2] - b[0], b[3] - b[1])
    else:
        assert (crop.left, crop.top) == ((width - side) // 2, (height - side) // 2)


def test_every_position_that_holds_the_boxes_is_drawn():
    rng = np.random.default_rng(0)
    lefts = {square_crop(100, 80, [(30.0, 0.0, 60.0, 80.0)], 80, rng).left for _ in range(500)}
    assert lefts == {*range(21)}


def test_a_box_is_cut_where_the_crop_ends():
    assert Crop(left=10, top=0, side=50, size=100).of_box((0.0, 5.0, 70.0, 20.0)) == (0.0, 10.0, 100.0, 40.0)
