# SPDX-License-Identifier: Apache-2.0
"""What the trainings of the miniature rest on: pure batches, exact resume, losses that mean what they say."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from models.miniature.train.batch import cell_labels, scene_batch, training_batch
from models.miniature.train.detector_loss import Target, dense_losses, set_losses
from models.miniature.train.loop import OtherRecipe, Recipe, learning_rate, train
from models.miniature.train.scenes import SIDE, load_scenes
from models.miniature.train.segmenter import mask_losses
from models.miniature.world import NOUNS, render_scene, sample_scene


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return load_scenes(tmp_path_factory.mktemp("cache"), seed=5, count=24)


def test_cached_scenes_are_the_rendered_ones(scenes):
    rendered = render_scene(sample_scene(5, 7), SIDE)
    assert np.array_equal(scenes.image_NHWC[7], np.asarray(rendered.image))
    assert scenes.caption_N[7] == rendered.caption
    for place, subject in enumerate(rendered.subjects):
        assert np.array_equal(scenes.instance_NHW[7] == place + 1, subject.mask)
        assert NOUNS[scenes.noun_NS[7, place]] == subject.identity.noun


def test_a_batch_is_a_pure_function_of_seed_and_step(scenes):
    one, other = training_batch(scenes, 8, 1, 17), training_batch(scenes, 8, 1, 17)
    assert torch.equal(one.image_BCHW, other.image_BCHW)
    assert not torch.equal(one.image_BCHW, training_batch(scenes, 8, 1, 18).image_BCHW)


def test_mirroring_keeps_boxes_on_their_masks(scenes):
    for step in range(4):
        batch = training_batch(scenes, 16, 2, step)
        for row in range(16):
            for place in range(int(batch.count_B[row])):
                y, x = (batch.instance_BHW[row] == place + 1).nonzero(as_tuple=True)
                x1, y1, x2, y2 = (batch.box_BS4[row, place] * SIDE).tolist()
                assert (x.min(), y.min(), x.max() + 1, y.max() + 1) == pytest.approx((x1, y1, x2, y2))


def test_cells_say_what_covers_them(scenes):
    batch = scene_batch(scenes, np.arange(8))
    noun_BGG, _ = cell_labels(batch, SIDE)
    for row in range(8):
        for place in range(int(batch.count_B[row])):
            shown = noun_BGG[row][batch.instance_BHW[row] == place + 1]
            assert set(shown.tolist()) == {int(batch.noun_BS[row, place]) + 1}


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))


def run_toy(folder, stop_at=None):
    model = Toy()

    def losses(step):
        if step == stop_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        return {"square": (model.layer(x) - x.sum(1, keepdim=True)).square().mean()}

    recipe = Recipe(steps=40, lr=1e-2, warmup=5, checkpoint_seconds=0.0, log_every=4)
    return train(model, losses, recipe, folder, log=lambda _: None).state_dict()


def test_a_training_that_was_stopped_ends_with_the_same_bits(tmp_path):
    whole = run_toy(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path / "stopped", stop_at=23)
    resumed = run_toy(tmp_path / "stopped")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    curves = [
        [json.loads(line)["square"] for line in (tmp_path / name / "curve.jsonl").read_text().splitlines()]
        for name in ("whole", "stopped")
    ]
    assert curves[0] == curves[1]
    assert curves[0][-1] < curves[0][0]


def test_a_training_with_another_schedule_does_not_go_on_from_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path, stop_at=3)
    model = Toy()
    with pytest.raises(OtherRecipe, match="another schedule"):
        train(model, lambda step: {}, Recipe(steps=41, lr=1e-2, warmup=5), tmp_path, log=lambda _: None)


def test_the_learning_rate_rises_then_falls():
    recipe = Recipe(steps=100, lr=1.0, warmup=10)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.02


def targets():
    tokens = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    box = torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.3, 0.2]])
    return [Target(tokens, box)]


def test_perfect_queries_cost_nothing_in_whatever_order():
    text = torch.tensor([[True, True, False]])
    logits = torch.full((1, 4, 3), -12.0)
    box = torch.rand(1, 4, 4) * 0.1 + 0.4
    (target,) = targets()
    for query, item in ((3, 0), (1, 1)):
        logits[0, query] = target.tokens_NT[item] * 24 - 12
        box[0, query] = target.box_N4[item]
    perfect = set_losses(logits, box, [target], text)
    assert sum(perfect.values()) < 1e-3
    swapped = set_losses(logits[:, [1, 0, 3, 2]], box[:, [1, 0, 3, 2]], [target], text)
    assert sum(swapped.values()) == pytest.approx(float(sum(perfect.values())), abs=1e-6)
    wrong = set_losses(logits.flip(-1), box, [target], torch.ones(1, 3, dtype=torch.bool))
    assert wrong["class"] > 1


def test_every_image_is_judged_by_its_own_prompt():
    """Two images whose prompts name the same thing at different tokens."""
    box = torch.tensor([[[0.5, 0.5, 0.4, 0.4]]]).repeat(2, 1, 1)
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    logits = torch.stack([one, other]) * 24 - 12
    goals = [Target(one, box[0]), Target(other, box[1])]
    assert sum(set_losses(logits, box, goals, torch.ones(2, 2, dtype=torch.bool)).values()) < 1e-3


def test_dense_targets_are_the_cells_near_the_middle():
    centre = torch.tensor([[0.3, 0.3], [0.9, 0.1]])
    (target,) = targets()
    logits = torch.tensor([[[12.0, -12, -12], [-12, -12, -12]]])
    box = torch.stack([target.box_N4[0], torch.full((4,), 0.5)])[None]
    only_first = Target(target.tokens_NT[:1], target.box_N4[:1])
    found = dense_losses(logits, box, centre, [only_first], torch.ones(1, 3, dtype=torch.bool))
    assert sum(found.values()) < 1e-3


def test_a_perfect_mask_costs_almost_nothing(scenes):
    batch = scene_batch(scenes, np.arange(6))
    truth = torch.stack([batch.instance_BHW == place + 1 for place in range(3)], dim=1).float()
    logits = (truth * 40 - 20)[:, :, None]
    perfect = mask_losses(logits, torch.ones(6, 3, 1), batch)
    assert sum(perfect.values()) < 1e-2
    assert sum(mask_losses(-logits, torch.ones(6, 3, 1), batch).values()) > 10
