# SPDX-License-Identifier: Apache-2.0
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models.subject_diffusion.location_map import location_map, widened, without_location

corner = st.floats(0, 0.9)


@given(st.lists(st.tuples(corner, corner, st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=2, max_size=2))
def test_it_is_0_inside_of_any_box_and_1_elsewhere(boxes):
    corners = torch.tensor([[[x, y, min(1, x + w), min(1, y + h)] for x, y, w, h in boxes]])
    both = location_map(corners, torch.tensor([[True, True]]), 64, 64)
    assert both.shape == (1, 1, 64, 64)
    assert {*both.unique().tolist()} <= {0.0, 1.0}
    one = location_map(corners, torch.tensor([[True, False]]), 64, 64)
    other = location_map(corners, torch.tensor([[False, True]]), 64, 64)
    assert torch.equal(both, one * other)
    down, across = torch.meshgrid(*[(torch.arange(64) + 0.5) / 64] * 2, indexing="ij")
    x0, y0, x1, y1 = corners[0, 0]
    assert torch.equal(one[0, 0] == 0, (across >= x0) & (across < x1) & (down >= y0) & (down < y1))


def test_the_upper_half():
    found = location_map(torch.tensor([[[0.0, 0.0, 1.0, 0.5]]]), torch.tensor([[True]]), 64, 64)
    assert found.sum() == 64 * 32
    assert not found[0, 0, :32].any()


def test_no_subject_is_ones_and_not_told_is_zeros():
    found = location_map(torch.full((1, 2, 4), float("nan")), torch.zeros(1, 2, dtype=torch.bool), 8, 8)
    assert found.all()
    assert not without_location(found).any()


def test_one_more_channel_changes_nothing():
    narrow = nn.Conv2d(4, 6, 3, padding=1)
    wide = widened(narrow)
    latents = torch.randn(1, 4, 8, 8)
    for extra in (torch.zeros(1, 1, 8, 8), torch.randn(1, 1, 8, 8)):
        assert torch.allclose(wide(torch.cat([latents, extra], 1)), narrow(latents), atol=1e-6)
