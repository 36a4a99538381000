# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.train.average import Average
from pipeline.train.config import Optimiser
from pipeline.train.optimising import Optimising, learning_rate


def parameter(value=1.0):
    return nn.Parameter(torch.full((3,), value))


def test_learning_rates():
    options = Optimiser(lr=1.0, warmup=4)
    assert [learning_rate(options, step, 100) for step in (0, 1, 3, 4, 99)] == [0.25, 0.5, 1, 1, 1]
    falling = [
        learning_rate(Optimiser(lr=1.0, warmup=4, schedule="cosine"), step, 100) for step in range(101)
    ]
    assert falling[4:] == sorted(falling[4:], reverse=True)
    assert falling[100] == pytest.approx(0.01)


def test_a_gradient_that_is_no_number_changes_nothing():
    weights = parameter()
    optimising = Optimising([weights], Optimiser(lr=0.1, warmup=0, ema=0.9), 100)
    before = weights.detach().clone()
    for _ in range(9):
        weights.grad = torch.tensor([1.0, math.nan, 1.0])
        norm, _ = optimising.step(0)
        assert math.isnan(norm)
    assert torch.equal(weights, before)
    assert optimising.average.steps == 0
    weights.grad = torch.ones(3)
    assert optimising.step(0)[0] == pytest.approx(math.sqrt(3))
    assert not torch.equal(weights, before)
    assert weights.grad is None


def test_ten_such_in_a_row_end_the_training():
    weights = parameter()
    optimising = Optimising([weights], Optimiser(), 100)
    for number in range(9):
        weights.grad = torch.full((3,), math.inf)
        optimising.step(number)
    weights.grad = torch.full((3,), math.inf)
    with pytest.raises(UserError, match=r"10 steps up to 9.*optimiser\.lr"):
        optimising.step(9)


def test_gradients_are_clipped():
    weights = parameter()
    optimising = Optimising([weights], Optimiser(clip=0.5), 100)
    weights.grad = torch.full((3,), 4.0)
    kept = weights.grad
    optimising.step(0)
    assert kept.norm() == pytest.approx(0.5, rel=1e-4)


def test_an_average_begins_fast_and_is_exchanged_without_loss():
    weights = parameter(0.0)
    average = Average([weights], 0.99)
    with torch.no_grad():
        weights.fill_(1.0)
    average.step()
    with average.instead():
        assert torch.allclose(weights, torch.full((3,), 0.9))
    assert torch.equal(weights, torch.ones(3))
    for _ in range(2000):
        average.step()
    with average.instead():
        assert torch.allclose(weights, torch.ones(3), atol=1e-4)
    average.take(7)
    assert average.steps == 7
