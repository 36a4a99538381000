# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from PIL import Image

from models.consistency.cones2.layout import (
    BadLayout,
    Layout,
    layout_of_boxes,
    layout_of_masks,
    layout_of_picture,
)

GRIDS = [(96, 96), (64, 64), (32, 32), (8, 8), (12, 20), (2, 2), (1, 1)]


@pytest.mark.parametrize("grid", GRIDS)
def test_regions_and_background_make_the_grid_at_every_scale(grid):
    layout = layout_of_boxes([(0, 0, 0.5, 1), (0.5, 0, 1, 0.5)])
    inside = layout.on(grid)
    assert inside.shape == (2, *grid)
    assert inside.any(2).any(1).all()
    if min(grid) >= 2:
        assert not (inside[0] & inside[1]).any()
        assert inside.float().mean((1, 2)).tolist() == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize("grid", GRIDS)
def test_the_smallest_region_is_somewhere_at_every_scale(grid):
    region = torch.zeros(1, 512, 512, dtype=torch.bool)
    region[0, 300, 200] = True
    inside = Layout(region, (1.0,)).on(grid)
    assert inside.sum() == 1
    row, column = inside[0].nonzero()[0].tolist()
    assert row == 300 * grid[0] // 512
    assert column == 200 * grid[1] // 512


def test_a_place_is_covered_by_half_or_more():
    layout = layout_of_boxes([(0, 0, 0.75, 1.0)])
    assert layout.on((1, 2))[0].tolist() == [[True, True]]
    assert layout_of_boxes([(0, 0, 0.7, 1.0)]).on((1, 2))[0].tolist() == [[True, False]]


def test_colours_are_regions_and_others_the_background():
    pixels = np.full((60, 90, 3), 255, np.uint8)
    pixels[:, :30] = (255, 0, 0)
    pixels[:, 30:60] = (0, 0, 250)
    red_blue, blue_red = (
        layout_of_picture(Image.fromarray(pixels), colours)
        for colours in ([(255, 0, 0), (0, 0, 250)], [(0, 0, 250), (255, 0, 0)])
    )
    assert torch.equal(
        red_blue.on((1, 3)).squeeze(1), torch.tensor([[True, False, False], [False, True, False]])
    )
    assert torch.equal(red_blue.on((8, 12)), blue_red.on((8, 12)).flip(0))
    with pytest.raises(BadLayout, match="no pixel"):
        layout_of_picture(Image.fromarray(pixels), [(0, 255, 0)])


def test_masks_are_regions():
    mask = np.zeros((16, 24), bool)
    mask[:8] = True
    assert torch.equal(layout_of_masks([mask, ~mask]).on((2, 1))[:, :, 0], torch.eye(2, dtype=torch.bool))


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (0.6, 0, 0.5, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1)])
def test_boxes_that_are_none_are_refused(box):
    with pytest.raises(BadLayout, match="is no box"):
        layout_of_boxes([box])


def test_empty_regions_and_wrong_numbers_are_refused():
    with pytest.raises(BadLayout, match="subject 2 is empty"):
        layout_of_masks([np.ones((4, 4), bool), np.zeros((4, 4), bool)])
    with pytest.raises(BadLayout, match="one size"):
        layout_of_masks([np.ones((4, 4), bool), np.ones((4, 5), bool)])
    with pytest.raises(BadLayout, match="3 weights"):
        Layout(torch.ones(1, 4, 4, dtype=torch.bool), (1.0, 1.0, 1.0))


def test_a_thin_box_is_there():
    assert layout_of_boxes([(0.5, 0.5, 0.5001, 0.5001)]).on((4, 4)).sum() == 1
