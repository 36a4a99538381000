# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from models.miniature.train.dino import build_model
from models.miniature.train.dino_views import LOCAL, LOCAL_PIXELS, draw, recoloured
from models.miniature.train.layouts import PIXELS, load_layouts


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    return [*load_layouts(tmp_path_factory.mktemp("cache"), share=0.001).values()]


def test_the_views_of_a_batch_are_a_pure_function_of_its_step(layouts):
    one, other, next_one = (draw(layouts, 6, step) for step in (3, 3, 4))
    assert [view.shape[-1] for view in one.values()] == [PIXELS] * 2 + [LOCAL_PIXELS] * LOCAL
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["view 0"], next_one["view 0"])
    assert not torch.equal(one["view 0"], one["view 1"])


def test_most_views_show_a_subject_before_nothing(layouts):
    view_BCHW = draw(layouts, 40, 0)["view 0"]
    corner = view_BCHW[:, :, :3, :3].flatten(2)
    flat = (corner.std(-1) < 1e-3).all(1)
    assert 0.3 < flat.float().mean() < 0.95


def test_recolouring_keeps_grey_grey_and_stays_in_range():
    grey = torch.linspace(-1, 1, 16).view(1, 1, 4, 4).expand(5, 3, 4, 4)
    changed = recoloured(grey, np.random.default_rng(0))
    assert torch.allclose(changed, changed.mean(1, keepdim=True).expand_as(changed), atol=1e-5)
    colourful = recoloured(torch.rand(50, 3, 4, 4) * 2 - 1, np.random.default_rng(1))
    assert colourful.abs().max() <= 1
    without = (colourful.std(1) < 1e-5).flatten(1).all(1)
    assert 0 < without.float().mean() < 0.5


def test_small_views_fit_the_model():
    states = build_model()(torch.zeros(2, 3, LOCAL_PIXELS, LOCAL_PIXELS), interpolate_pos_encoding=True)
    assert states.last_hidden_state.shape == (2, (LOCAL_PIXELS // 8) ** 2 + 1, 96)
