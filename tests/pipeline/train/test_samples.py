# SPDX-License-Identifier: Apache-2.0
import json
import shutil

import numpy as np
import pytest
import torch

from models.subject_diffusion.options import Options
from models.subject_diffusion.template import Template
from pipeline.errors import UserError
from pipeline.train.batch import Collate
from pipeline.train.dice import throw
from pipeline.train.example import Frame
from pipeline.train.feed import Feed, Share
from pipeline.train.order import Place
from pipeline.train.rules import Rules
from pipeline.train.samples import Reading, Samples
from pipeline.train.shards import DatasetShards
from stages.shard.place import place
from tests.models.subject_diffusion.tiny import tokenizer_of

TEMPLATE = Template(tokenizer_of(), Options(placeholder="robot"))
LATENT = (4, 8, 8)


def reading(rules=None, template=TEMPLATE, **changes):
    return Reading(
        rules=rules or Rules(), frame=Frame(32, 28), template=template, latent_CHW=LATENT, **changes
    )


@pytest.fixture(scope="module")
def shards(built):
    return DatasetShards(place(str(built)))


class Fixed:
    """Shards in memory."""

    def __init__(self, *members):
        self.members = members
        self.sizes = [len(members)]

    def read(self, where: Place):
        return self.members[where.row]

    def name(self, where: Place):
        return str(where)


def members_of(shards, position):
    return shards.read(Samples(shards, reading()).order.at(position))


def usable(shards):
    """Members of a sample that training takes as it is."""
    samples = Samples(shards, reading())
    position = next(p for p in range(40) if not samples[p].skipped)
    return members_of(shards, position)


def same(one, other):
    for name in ("image_SSC", "box_K4", "mask_KSS", "reference_KRRC"):
        assert np.array_equal(getattr(one.example, name), getattr(other.example, name))
    assert np.array_equal(one.dice.noise_CHW, other.dice.noise_CHW)
    assert (one.dice.time, one.dice.drop, one.skipped) == (other.dice.time, other.dice.drop, other.skipped)


def test_a_position_is_always_the_same_sample(shards):
    for position in (0, 7, 41, 1000):
        same(Samples(shards, reading())[position], Samples(shards, reading())[position])


def test_seeds_differ(shards):
    one, other = (Samples(shards, reading(seed=seed))[3] for seed in (0, 1))
    assert not np.array_equal(one.dice.noise_CHW, other.dice.noise_CHW)


def test_dice_are_what_they_should_be():
    dice = [throw(0, position, LATENT) for position in range(2000)]
    noise = np.stack([each.noise_CHW for each in dice])
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    for name in ("time", "drop"):
        values = np.array([getattr(each, name) for each in dice])
        assert 0 <= values.min() < 0.01
        assert 0.99 < values.max() < 1
        assert abs(values.mean() - 0.5) < 0.03
    assert abs(np.corrcoef([each.time for each in dice], [each.drop for each in dice])[0, 1]) < 0.06


def test_what_cannot_be_used_is_replaced_and_counted(shards):
    good = usable(shards)
    torn = {**good, "jpg": good["jpg"][:100]}
    nameless = {name: data for name, data in good.items() if name != "json"}
    said = json.loads(good["json"])
    forbidden = {**good, "json": json.dumps({**said, "caption": said["caption"] + " with a robot"}).encode()}
    other = {**good, "json": json.dumps({**said, "caption": "nothing of it"}).encode()}
    empty = {**good, "json": json.dumps({**said, "entities": []}).encode()}
    samples = Samples(Fixed(torn, nameless, forbidden, other, empty, good), reading())
    found = [samples[position] for position in range(60)]
    reasons = {reason.partition(":")[0] for each in found for reason in each.skipped}
    assert {"BadRecord", "BadPrompt", "not_in_caption", "no_entity"} <= reasons
    assert {each.example.caption for each in found} == {said["caption"]}


def test_nothing_to_train_on(shards):
    with pytest.raises(UserError, match=r"no usable sample among \d+: .*score"):
        Samples(shards, reading(Rules(score=1.0)))[0]
    with pytest.raises(UserError, match="no sample"):
        Samples(Fixed(), reading())


def test_pieces_are_the_steps_in_order(shards):
    samples, collate = Samples(shards, reading()), Collate(TEMPLATE)
    whole = Feed(samples, collate, Share(4), 3, 0, torch.device("cpu"))
    halves = [
        Feed(samples, collate, Share(4, rank, 2, micro=1), 3, 0, torch.device("cpu")) for rank in (0, 1)
    ]
    for _ in range(2):
        expected = next(whole)
        pieces = [next(half) for half in halves for _ in range(2)]
        assert torch.equal(torch.cat([piece.image_BSSC for piece in pieces]), expected.image_BSSC)
        assert torch.equal(torch.cat([piece.noise_BCHW for piece in pieces]), expected.noise_BCHW)
        assert sum((piece.captions for piece in pieces), ()) == expected.captions


def test_a_batch_is_padded_to_the_same_number_of_subjects(shards):
    samples = [Samples(shards, reading())[position] for position in range(12)]
    batch = Collate(TEMPLATE)(samples)
    counts = [len(sample.example.labels) for sample in samples]
    assert {*counts} == {1, 2}
    assert batch.prompts.there_BK.sum(1).tolist() == counts
    assert batch.mask_BKSS.flatten(2).any(-1).sum(1).tolist() == counts
    assert batch.reference_BKRRC.shape == (12, 2, 28, 28, 3)
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.prompts.ids_BL, batch.prompts.ids_BL)


def test_an_error_of_a_worker_is_still_one_line(shards):
    samples = Samples(shards, reading(Rules(score=1.0)))
    feed = Feed(samples, Collate(TEMPLATE), Share(2), 0, 2, torch.device("cpu"))
    with pytest.raises(UserError) as caught:
        next(feed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [Share(4, 0, 3), Share(4, 0, 1, micro=3), Share(2, 0, 4)])
def test_a_batch_that_cannot_be_shared_out(shards, share):
    with pytest.raises(ValueError, match="no multiple"):
        share.check()


def test_a_dataset_moves_with_its_folder(built, shards, tmp_path):
    copy = shutil.copytree(built, tmp_path / "elsewhere")
    same(Samples(DatasetShards(place(str(copy))), reading())[5], Samples(shards, reading())[5])
