# SPDX-License-Identifier: Apache-2.0
from math import log

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from models.consistency.cones2.layout import Layout, layout_of_boxes
from models.consistency.cones2.rectify import Rectified, Rectifying
from models.consistency.unet_layout import Layer

B, SIDE, C, L = 2, 8, 16, 10
P = SIDE * SIDE
LAYER = Layer("attn2", "up", 0, 0, True)
OWNERS = torch.tensor([[0, 1, 0, 2, 0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0, 2, 0, 0, 0]])
LAYOUT = layout_of_boxes([(0, 0, 0.5, 1), (0.5, 0, 1, 1)])


@pytest.fixture(scope="module")
def attn():
    torch.manual_seed(0)
    return Attention(C, cross_attention_dim=12, heads=2, dim_head=8, bias=True).eval()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2 * B, P, C, generator=generator), torch.randn(2 * B, L, 12, generator=generator)


def rectifying(layout=LAYOUT, owners=OWNERS, weight=0.08, sigma=5.0, active=True):
    found = Rectifying(layout, owners, weight, sigma, active)
    found.begin(SIDE, SIDE)
    return found


def processor(**changes):
    return Rectified(AttnProcessor2_0(), rectifying(**changes), LAYER)


def weights(attn, inputs, **changes):
    hidden, text = inputs
    with torch.no_grad():
        return processor(**changes).weights(attn, hidden[B:], text[B:])


def test_inactive_it_is_the_pipelines_own(attn, inputs):
    hidden, text = inputs
    plain = attn(hidden, text)
    assert torch.equal(processor(active=False)(attn, hidden, text), plain)


def test_words_are_seen_in_their_region_alone_and_rows_sum_to_one(attn, inputs):
    _, found = weights(attn, inputs)
    inside = LAYOUT.on((SIDE, SIDE)).flatten(1)
    for row in range(B):
        for token, owner in enumerate(OWNERS[row].tolist()):
            if owner:
                assert (found[row, :, ~inside[owner - 1], token] == 0).all()
                assert (found[row, :, inside[owner - 1], token] > 0).all()
    assert torch.allclose(found.sum(-1), torch.ones(B, 2, P))


def test_other_words_keep_their_ratios(attn, inputs):
    plain, found = weights(attn, inputs)
    for row in range(B):
        others = (OWNERS[row] == 0).nonzero()[:, 0]
        ratios = [each[row][..., others[1:]] / each[row][..., others[:1]] for each in (plain, found)]
        assert torch.allclose(*ratios, rtol=1e-4)


@pytest.mark.parametrize(("weight", "gain", "sigma"), [(0.08, 2.5, 5.0), (0.05, 2.5, 14.0), (0.1, 1.0, 1.0)])
def test_in_the_region_scores_gain_what_they_should(attn, inputs, weight, gain, sigma):
    layout = Layout(LAYOUT.regions_SHW, (gain, gain))
    plain, found = weights(attn, inputs, layout=layout, weight=weight, sigma=sigma)
    hidden, text = (each[B:] for each in inputs)
    query, key = (
        each.unflatten(-1, (2, -1)).transpose(1, 2) for each in (attn.to_q(hidden), attn.to_k(text))
    )
    std = (query @ key.transpose(2, 3)).flatten(1).std(1)
    wanted = attn.scale * weight * gain * log(1 + sigma**2) * std
    shift = (found[0, :, :, 1] / found[0, :, :, 0]).log() - (plain[0, :, :, 1] / plain[0, :, :, 0]).log()
    inside = LAYOUT.on((SIDE, SIDE)).flatten(1)[0]
    assert torch.allclose(shift[:, inside], wanted[0].expand(2, int(inside.sum())), atol=1e-4)


def test_a_region_of_everything_only_adds(attn, inputs):
    layout = layout_of_boxes([(0, 0, 1, 1), (0, 0, 1, 1)])
    plain, found = weights(attn, inputs, layout=layout)
    subjects = OWNERS[0] > 0
    assert (found[0][..., subjects].sum(-1) > plain[0][..., subjects].sum(-1)).all()
    none = Layout(layout.regions_SHW, (0.0, 0.0))
    assert torch.allclose(*weights(attn, inputs, layout=none))
    assert torch.allclose(*weights(attn, inputs, layout=layout, sigma=0.0))


def test_rows_without_the_prompt_are_left_alone(attn, inputs):
    hidden, text = inputs
    plain, found = attn(hidden, text), processor()(attn, hidden, text)
    assert torch.equal(found[:B], plain[:B])
    assert (found[B:] - plain[B:]).abs().amax((1, 2)).min() > 1e-4


def test_the_output_is_that_of_the_rectified_weights(attn, inputs):
    hidden, text = inputs
    with torch.no_grad():
        found = processor()(attn, hidden, text)[B:]
        value = attn.to_v(text[B:]).unflatten(-1, (2, -1)).transpose(1, 2)
        heads = weights(attn, inputs)[1] @ value
        wanted = attn.to_out[0](heads.transpose(1, 2).flatten(2))
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_picture_does_not_depend_on_the_others(attn, inputs):
    hidden, text = inputs
    both = processor()(attn, hidden, text)[B:]
    for row in range(B):
        one = processor(owners=OWNERS[row : row + 1])(attn, hidden[B + row :][:1], text[B + row :][:1])
        assert torch.allclose(one[0], both[row], atol=1e-5)


def test_swapped_regions_are_swapped_maps():
    one = rectifying().maps(0, torch.device("cpu"))
    swapped = Layout(LAYOUT.regions_SHW.flip(0), LAYOUT.weights)
    owners = torch.where(OWNERS > 0, 3 - OWNERS, 0)
    other = rectifying(layout=swapped, owners=owners).maps(0, torch.device("cpu"))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert not torch.equal(one[1], rectifying(layout=swapped).maps(0, torch.device("cpu"))[1])


def test_strength_falls_with_the_noise_and_has_an_end():
    strengths = [rectifying(sigma=sigma).strength for sigma in (1e6, 14.6146, 5.0, 1.56, 0.533, 0.029, 0.0)]
    assert strengths == sorted(strengths, reverse=True)
    assert [each / 0.08 for each in strengths[1:]] == pytest.approx(
        [5.37, 3.26, 1.24, 0.25, 8.5e-4, 0], abs=0.01
    )
    assert strengths[0] == strengths[1]


def test_half_precision_has_no_holes(attn, inputs):
    half = attn.to(torch.float16)
    try:
        hidden, text = (each.half() for each in inputs)
        assert torch.isfinite(processor(sigma=0.0)(half, hidden, text)).all()
        assert torch.isfinite(processor()(half, hidden, text)).all()
    finally:
        attn.to(torch.float32)
