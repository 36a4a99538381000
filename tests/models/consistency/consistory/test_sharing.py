# SPDX-License-Identifier: Apache-2.0
"""Attention that sees others: against its definition with masks in the scores."""

import pytest
import torch
from diffusers.models.attention_processor import Attention

from models.consistency.consistory.sharing import grouped, shared_attention, sources_of

G, B, P, C = 2, 4, 12, 16


@pytest.fixture(scope="module")
def attn():
    torch.manual_seed(0)
    return Attention(C, heads=2, dim_head=8).eval().double()


@pytest.fixture(scope="module")
def hidden():
    return torch.randn(G, B, P, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def kept_places(share=0.5, seed=2):
    mask = torch.rand(B, P, generator=torch.Generator().manual_seed(seed)) < share
    return {j: mask[j].nonzero()[:, 0] for j in range(B)}, mask


def gathered(attn, hidden, sources, places, **more):
    def seen(key, value):
        return {
            j: (key[:, j].index_select(1, at), value[:, j].index_select(1, at)) for j, at in places.items()
        }

    return shared_attention(attn, hidden, grouped(sources), seen, **more)


def masked(attn, hidden, sources, mask):
    """Equations 2 and 3 to the letter: all keys of all pictures, the logarithm of the mask in the scores."""
    query, key, value = (
        layer(hidden).unflatten(-1, (attn.heads, -1)).transpose(2, 3)
        for layer in (attn.to_q, attn.to_k, attn.to_v)
    )
    result = []
    for half in range(G):
        rows = []
        for i, seen in enumerate(sources):
            allowed = torch.cat(
                [torch.ones(P) if j == i else mask[j].float() * (j in seen) for j in range(B)]
            ).log()
            keys, values = (each[half].transpose(0, 1).flatten(1, 2) for each in (key, value))
            weights = (query[half, i] @ keys.transpose(1, 2) * attn.scale + allowed).softmax(-1)
            assert torch.allclose(weights.sum(-1), torch.ones_like(weights[..., 0]))
            assert (weights[..., allowed == -torch.inf] == 0).all()
            rows.append((weights @ values).transpose(0, 1).flatten(1))
        result.append(torch.stack(rows))
    return attn.to_out[0](torch.stack(result))


@pytest.mark.parametrize("anchors", [1, 2, B])
def test_gathering_is_masking(attn, hidden, anchors):
    places, mask = kept_places()
    sources = sources_of(B, anchors)
    assert torch.allclose(
        gathered(attn, hidden, sources, places), masked(attn, hidden, sources, mask), atol=1e-9
    )


def test_anchors_see_each_other_and_nobody_sees_the_rest():
    assert sources_of(4, 2) == [(1,), (0,), (0, 1), (0, 1)]
    assert sources_of(3, 9) == [(1, 2), (0, 2), (0, 1)]
    assert sources_of(1, 2) == [()]
    assert sources_of(2, 2, remembered=3) == [(2, 3, 4)] * 2


def test_who_sees_nobody_attends_plainly(attn, hidden):
    places, _ = kept_places()
    plain = attn(hidden.flatten(0, 1)).unflatten(0, (G, B))
    assert torch.allclose(gathered(attn, hidden, [()] * B, places), plain, atol=1e-12)


def test_anchors_without_a_mask_are_not_there(attn, hidden):
    empty = {j: torch.zeros(0, dtype=torch.int64) for j in range(B)}
    found = gathered(attn, hidden, sources_of(B, 2), empty)
    assert torch.isfinite(found).all()
    assert torch.allclose(found, attn(hidden.flatten(0, 1)).unflatten(0, (G, B)), atol=1e-12)


def test_the_order_of_anchors_does_not_matter(attn, hidden):
    places, _ = kept_places()
    one, other = (gathered(attn, hidden, [(), (), (), order], places) for order in ((0, 1), (1, 0)))
    assert torch.allclose(one, other, atol=1e-12)


def test_queries_are_blended(attn, hidden):
    places, _ = kept_places()
    sources = sources_of(B, 2)
    other = torch.randn_like(hidden)
    plain = gathered(attn, hidden, sources, places)
    assert torch.equal(gathered(attn, hidden, sources, places, blend=(other, 0.0)), plain)
    own = attn.to_q(hidden)
    assert torch.equal(gathered(attn, hidden, sources, places, blend=(own, 0.7)), plain)
    assert not torch.allclose(gathered(attn, hidden, sources, places, blend=(other, 0.5)), plain)


def test_fused_projections_are_the_same(attn, hidden):
    import copy

    fused = copy.deepcopy(attn)
    fused.fuse_projections()
    places, _ = kept_places()
    one, other = (gathered(each, hidden, sources_of(B, 2), places) for each in (attn, fused))
    assert torch.allclose(one, other, atol=1e-12)


def test_queries_are_of_width_c_and_not_extended(attn, hidden):
    places, _ = kept_places(share=1.0)
    assert gathered(attn, hidden, sources_of(B, B), places).shape == hidden.shape
