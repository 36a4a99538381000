# SPDX-License-Identifier: Apache-2.0
from math import log

import pytest
import torch

from models.consistency.dco.loss import dco_loss, errors, min_snr_weights


def of(margins, beta=1000.0, **more):
    tuned = torch.tensor(margins, dtype=torch.float64) + 0.3
    return dco_loss(tuned, torch.full_like(tuned, 0.3), beta, **more)


@pytest.mark.parametrize("beta", [1e-3, 1.0, 1000.0])
def test_of_equal_errors_it_is_log_two_whatever_beta(beta):
    assert of([0.0], beta).item() == pytest.approx(log(2), abs=1e-9)


@pytest.mark.parametrize(
    ("margin", "weight"),
    [
        (0.01, 999.95),
        (0.005, 993.31),
        (0.001, 731.06),
        (0.0, 500.0),
        (-0.001, 268.94),
        (-0.002, 119.20),
        (-0.005, 6.69),
        (-0.01, 0.05),
    ],
)
def test_its_gradient_dies_with_the_margin(margin, weight):
    tuned = torch.tensor([0.3 + margin], dtype=torch.float64, requires_grad=True)
    untuned = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    dco_loss(tuned, untuned, 1000.0).backward()
    assert tuned.grad.item() == pytest.approx(weight, abs=0.01)
    assert untuned.grad is None


def test_it_grows_with_the_tuned_error_and_falls_with_the_untuned_one():
    assert of([-0.002]) < of([-0.001]) < of([0.0]) < of([0.001])


def test_it_has_no_overflow():
    assert of([-10.0]).item() == pytest.approx(0, abs=1e-12)
    assert of([10.0]).item() == pytest.approx(1e4)
    half = dco_loss(torch.tensor([10.0]).half().float(), torch.tensor([0.0]), 1000.0)
    assert half.item() == pytest.approx(1e4)


def test_small_beta_has_a_gradient_in_proportion():
    grads = []
    for beta in (1e-3, 2e-3):
        tuned = torch.tensor([0.3], requires_grad=True)
        dco_loss(tuned, torch.tensor([0.3]), beta).backward()
        grads.append(tuned.grad.item())
    assert grads[1] == pytest.approx(2 * grads[0])


def test_the_batchs_mean_is_less_than_the_mean_of_samples():
    margins = [-0.004, 0.003, 0.001]
    assert of(margins, reduction="batch") < of(margins, reduction="sample")
    assert of(margins[:1], reduction="batch") == of(margins[:1], reduction="sample")
    assert of(margins).item() == pytest.approx(sum(of([m]).item() for m in margins) / 3)


def test_errors_are_means_over_all_but_the_batch_in_full_precision():
    one, other = torch.randn(2, 3, 4, 5, 5).half()
    wanted = ((one.float() - other.float()) ** 2).mean((1, 2, 3))
    assert torch.allclose(errors(one, other), wanted)
    assert errors(one, other).dtype == torch.float32


def test_min_snr_weights():
    kept = torch.tensor([0.5, 0.9, 0.999])
    snr = kept / (1 - kept)
    assert torch.allclose(min_snr_weights(kept, 5.0, False), torch.tensor([1.0, 5 / 9, 5 / 999]), rtol=1e-3)
    assert torch.allclose(min_snr_weights(kept, 5.0, True), snr.clamp(max=5) / (snr + 1))
    zero = min_snr_weights(torch.tensor([0.0]), 5.0, True)
    assert torch.isfinite(zero).all()
