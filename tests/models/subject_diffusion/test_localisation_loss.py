# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from models.subject_diffusion.localisation_loss import localisation_loss
from models.subject_diffusion.options import AttentionLoss

BALANCED, L1 = AttentionLoss.balanced, AttentionLoss.l1
TOKENS, TOLD = torch.tensor([[3, 5]]), torch.tensor([[True, True]])


def masks():
    found = torch.zeros(1, 2, 8, 8)
    found[0, 0, :4, :4], found[0, 1, 4:] = 1, 1
    return found


def maps_where(values_BTHW, heads=2, length=9):
    """Attention of the tokens 3 and 5 as given; the rest is nobody's."""
    result = torch.zeros(1, heads, 64, length)
    result[..., TOKENS[0]] = values_BTHW.flatten(2).transpose(1, 2)[:, None]
    return result


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (masks() * 0 + 1 / 77, 0.0),
        (masks(), -1.0),
        (1 - masks(), 1.0),
        (masks() * 0.25, -0.25),
    ],
)
def test_balanced(values, expected):
    found = localisation_loss([maps_where(values)], TOKENS, masks(), TOLD, BALANCED)
    assert found.item() == pytest.approx(expected, abs=1e-4)
    assert -1 <= found.item() <= 1


def test_l1_is_0_where_attention_is_the_mask():
    assert localisation_loss([maps_where(masks())], TOKENS, masks(), TOLD, L1).item() == 0
    assert localisation_loss([maps_where(1 - masks())], TOKENS, masks(), TOLD, L1).item() == 1


@pytest.mark.parametrize("kind", [BALANCED, L1])
def test_a_step_down_the_gradient_lowers_it(kind):
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 64, 9, requires_grad=True)
    losses = []
    for _ in range(5):
        loss = localisation_loss([logits.softmax(-1)], TOKENS, masks(), TOLD, kind)
        losses.append(loss.item())
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - 50 * gradient).detach().requires_grad_()
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 1e-3


def test_without_a_token_to_hold_it_is_0_and_so_is_its_gradient():
    maps = torch.rand(1, 2, 64, 9, requires_grad=True)
    loss = localisation_loss([maps], TOKENS, masks(), ~TOLD, BALANCED)
    assert loss.item() == 0
    loss.backward()
    assert not maps.grad.any()
    assert localisation_loss([maps], TOKENS[:, :0], masks()[:, :0], TOLD[:, :0], BALANCED).item() == 0


def test_an_empty_mask_counts_for_nothing():
    values = torch.rand(1, 2, 8, 8)
    empty = masks()
    empty[0, 1] = 0
    found = localisation_loss([maps_where(values)], TOKENS, empty, TOLD, BALANCED)
    alone = localisation_loss([maps_where(values)], TOKENS, masks(), torch.tensor([[True, False]]), BALANCED)
    assert found == alone


def test_a_batch_is_the_mean_of_its_samples():
    torch.manual_seed(1)
    maps = [torch.rand(3, 2, 64, 9), torch.rand(3, 4, 16, 9)]
    shown = (torch.rand(3, 2, 8, 8) > 0.5).float()
    tokens = torch.randint(0, 9, (3, 2))
    told = torch.tensor([[True, True], [True, False], [False, False]])
    whole = localisation_loss(maps, tokens, shown, told, BALANCED)
    parts = [
        localisation_loss(
            [m[k : k + 1] for m in maps], tokens[k : k + 1], shown[k : k + 1], told[k : k + 1], BALANCED
        )
        for k in range(3)
    ]
    assert whole.item() == pytest.approx(torch.stack(parts).mean().item(), abs=1e-6)
    assert localisation_loss(maps, tokens, shown, told, AttentionLoss.none).item() == 0


def test_a_map_that_is_not_square():
    with pytest.raises(ValueError, match="square"):
        localisation_loss([torch.rand(1, 2, 60, 9)], TOKENS, masks(), TOLD, BALANCED)
