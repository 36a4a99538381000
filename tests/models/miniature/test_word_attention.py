# SPDX-License-Identifier: Apache-2.0
"""The loss that holds the attention to a subject's words to the subject."""

import pytest
import torch

from models.miniature.train.word_attention import word_attention_loss

MASKS_BSHW = torch.zeros(1, 2, 8, 8)
MASKS_BSHW[0, 0, :, :4] = 1
MASKS_BSHW[0, 1, 2:6, 5:] = 1
OWNER_BL = torch.tensor([[0, 1, 1, 0, 2]])


def maps_of(scale: float) -> torch.Tensor:
    """Every word looks just where its subject is, (1, 1, 64, 5)."""
    map_BNQL = torch.full((1, 1, 64, 5), 0.02)
    for token, number in enumerate(OWNER_BL[0].tolist()):
        if number:
            map_BNQL[0, 0, :, token] = scale * MASKS_BSHW[0, number - 1].flatten()
    return map_BNQL


@pytest.mark.parametrize("scale", [0.9, 0.001])
def test_it_is_none_where_words_look_at_all_of_their_subjects_alone(scale):
    assert word_attention_loss([maps_of(scale)], OWNER_BL, MASKS_BSHW).item() == pytest.approx(0, abs=1e-6)


def test_it_is_one_where_they_look_at_the_other_subject():
    swapped = torch.tensor([[0, 2, 2, 0, 1]])
    assert word_attention_loss([maps_of(0.5)], swapped, MASKS_BSHW).item() == pytest.approx(1)


def test_what_is_no_subjects_and_what_is_not_there_do_not_count():
    wild = maps_of(0.5)
    wild[..., [0, 3]] = torch.rand(1, 1, 64, 2)
    assert word_attention_loss([wild], OWNER_BL, MASKS_BSHW).item() == pytest.approx(0, abs=1e-6)
    alone_BSHW = MASKS_BSHW.clone()
    alone_BSHW[:, 1] = 0
    wild[..., 4] = torch.rand(1, 1, 64)
    assert word_attention_loss([wild], OWNER_BL, alone_BSHW).item() == pytest.approx(0, abs=1e-6)
    assert word_attention_loss([wild], torch.zeros_like(OWNER_BL), MASKS_BSHW).item() == 0


def test_heads_may_share_the_work_and_layers_count_alike():
    left, right = maps_of(0.5), maps_of(0.5)
    left[:, :, 32:], right[:, :, :32] = 0, 0
    heads = torch.cat([left, right], dim=1)
    assert word_attention_loss([heads], OWNER_BL, MASKS_BSHW).item() == pytest.approx(0, abs=1e-6)
    even = torch.full((1, 1, 16, 5), 0.2)
    alone, both = (word_attention_loss(maps, OWNER_BL, MASKS_BSHW) for maps in ([even], [heads, even]))
    assert both.item() == pytest.approx(alone.item() / 2, abs=1e-6)


def test_a_step_along_its_gradient_moves_a_map_into_the_mask():
    scores = torch.zeros(1, 1, 64, 5, requires_grad=True)
    loss = word_attention_loss([scores.softmax(-1)], OWNER_BL, MASKS_BSHW)
    loss.backward()
    assert scores.grad is not None
    moved = scores.detach() - scores.grad
    assert word_attention_loss([moved.softmax(-1)], OWNER_BL, MASKS_BSHW) < loss
    inside = MASKS_BSHW[0, 0].flatten() > 0
    assert (scores.grad[0, 0, inside, 1] < 0).all()
    assert (scores.grad[0, 0, ~inside, 1] > 0).all()
