# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from torch import nn

from models.consistency.oneactor.projector import Projector


def seeded(*sizes, **more):
    torch.manual_seed(0)
    return Projector(*sizes, **more)


@pytest.mark.parametrize(
    ("sizes", "flat"), [((1280, 32, 32, 2048), 2560), ((1280, 12, 12, 1024), 640), ((1280, 8, 8, 768), 1280)]
)
def test_full_sizes(sizes, flat):
    """SDXL at 1024 pixels, Stable Diffusion 2 at 768, 1.5 at 512."""
    with torch.device("meta"):
        projector = Projector(*sizes)
    assert projector.out.in_features == flat
    if sizes[0] == 1280 and sizes[1] == 32:
        assert sum(each.numel() for each in projector.parameters()) == 66_167_264


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (6, 9), (2, 16)])
def test_any_grid(height, width):
    found = seeded(16, height, width, 24)(torch.randn(3, 16, height, width))
    assert found.shape == (3, 1, 24)
    assert torch.isfinite(found).all()


def test_untrained_offsets_are_large_and_all_of_one_length():
    deepest = torch.randn(5, 32, 4, 4)
    found = seeded(32, 4, 4, 64, tokens=2)(deepest)
    assert torch.allclose(found.norm(dim=-1), torch.full((5, 2), math.sqrt(64)), rtol=1e-3)
    assert torch.equal(found, seeded(32, 4, 4, 64, tokens=2)(deepest))


def test_statistics_of_the_batch_depend_on_it_and_running_ones_do_not():
    deepest, projector = torch.randn(5, 32, 4, 4), seeded(32, 4, 4, 64)
    projector.train()
    assert (projector(deepest)[:3] - projector(deepest[:3])).abs().max() > 0.01
    projector.eval()
    assert torch.allclose(projector(deepest)[:3], projector(deepest[:3]), atol=1e-5)


def test_an_adain_head_has_the_words_statistics():
    words = torch.randn(2, 64) * torch.tensor([[0.5], [3.0]]) + 1
    projector = seeded(32, 4, 4, 64, tokens=2, head="adain")
    found = projector(torch.randn(5, 32, 4, 4), words)
    assert torch.allclose(found.mean(-1), words.mean(-1).expand(5, 2), atol=1e-3)
    assert torch.allclose(found.std(-1), words.std(-1).expand(5, 2), rtol=1e-3)
    with pytest.raises(ValueError, match="words' states"):
        projector(torch.randn(5, 32, 4, 4))


def test_it_begins_as_the_official_one():
    projector = seeded(32, 16, 16, 64)
    for module in projector.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan = nn.init._calculate_fan_in_and_fan_out(module.weight)
            assert module.weight.abs().max() <= math.sqrt(6 / sum(fan)) + 1e-6
