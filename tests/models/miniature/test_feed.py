# SPDX-License-Identifier: Apache-2.0
"""Batches are the same whoever makes them, and wherever a training begins."""

import pytest
import torch

from models.miniature.train.feed import Feed, Machine
from models.miniature.train.loop import Recipe, train


def draw(step):
    return {"x": torch.randn(4, 3, generator=torch.Generator().manual_seed(step))}


@pytest.mark.parametrize("workers", [0, 2])
def test_every_step_gets_its_own_batch(workers):
    feed = Feed(draw, 12, Machine(workers=workers))
    for step in (0, 1, 2, 7, 8, 3):
        assert torch.equal(feed(step)["x"], draw(step)["x"])


def test_workers_and_a_resumption_change_no_weight(tmp_path):
    def trained(folder, workers, stop=None):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        recipe = Recipe(steps=12, lr=1e-2, warmup=2, stop=stop)
        feed = Feed(draw, 12, Machine(workers=workers))
        losses = lambda step: {"square": model(feed(step)["x"]).square().mean()}  # noqa: E731
        return train(model, losses, recipe, folder, lambda line: None)

    whole = trained(tmp_path / "whole", 0)
    trained(tmp_path / "parts", 2, stop=5)
    parts = trained(tmp_path / "parts", 1)
    assert torch.equal(whole.weight, parts.weight)
