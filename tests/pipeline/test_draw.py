# SPDX-License-Identifier: Apache-2.0
import colorsys
import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from pipeline.dataset.draw import entity_colour, overlay
from pipeline.dataset.read_sample import Sample, find_sample
from pipeline.errors import UserError
from stages.write import Write
from tests.shards import SIZE, shard_table


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    Write(folder=str(root)).setup()(shard_table(0, rows=8))
    return root


@pytest.fixture(scope="module")
def sample(dataset: Path) -> Sample:
    found = [find_sample(dataset, f"00000-0000{index}") for index in (0, 1, 2, 5, 6)]
    return max(found, key=lambda sample: len(sample.row["entities"]))


def plain(sample: Sample, side: int) -> np.ndarray:
    assert sample.jpg is not None
    image = Image.open(io.BytesIO(sample.jpg)).convert("RGB")
    return np.asarray(image.resize((side, side), Image.Resampling.LANCZOS)).astype(int)


def test_small_pictures_are_enlarged_by_a_whole_factor(sample: Sample) -> None:
    assert overlay(sample, min_side=512).size == (576, 576)
    assert overlay(sample, min_side=1).size == (SIZE, SIZE)


def test_masks_take_on_their_colour_and_the_rest_stays(sample: Sample) -> None:
    side, entities = 576, sample.row["entities"]
    before, after = plain(sample, side), np.asarray(overlay(sample)).astype(int)
    touched = np.zeros((SIZE, SIZE), bool)
    for entity in entities:
        mask = coco_mask.decode(entity["rle"]).astype(bool)
        touched |= mask
        large = np.kron(mask, np.ones((6, 6), bool))
        colour = np.array(entity_colour(entity["id"]))
        near_before, near_after = (np.abs(image[large] - colour).sum(1).mean() for image in (before, after))
        assert near_after < near_before
    x1, y1, x2, y2 = (np.array([entity["box"] for entity in entities]) * 6).astype(int).T
    for box in zip(x1, y1, x2, y2, strict=True):
        left, top, right, bottom = box
        touched[max(0, top // 6 - 8) : bottom // 6 + 2, max(0, left // 6 - 1) : right // 6 + 60] = True
    outside = ~np.kron(touched, np.ones((6, 6), bool))
    assert (before[outside] == after[outside]).all()


def test_boxes_are_where_the_row_says(sample: Sample) -> None:
    drawn = np.asarray(overlay(sample))
    best = sample.row["entities"][0]
    left, top, right, bottom = (round(value * 6) for value in best["box"])
    colour = np.array(entity_colour(best["id"]))
    edge = (drawn[(top + bottom) // 2, left : left + 2] == colour).all(-1)
    assert edge.all()
    assert (drawn[bottom - 2, (left + right) // 2] == colour).all()


def test_neighbours_have_colours_one_can_tell_apart() -> None:
    hues = [colorsys.rgb_to_hls(*(value / 255 for value in entity_colour(i)))[0] for i in range(1, 9)]
    gaps = [min(abs(one - other), 1 - abs(one - other)) for one, other in combinations(hues, 2)]
    assert min(gaps) > 0.05
    assert entity_colour(3) == entity_colour(3)


def test_rejected_sample_has_no_picture(dataset: Path) -> None:
    with pytest.raises(UserError, match="rejected in filter_image"):
        overlay(find_sample(dataset, "00000-00003"))
