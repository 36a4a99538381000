# SPDX-License-Identifier: Apache-2.0
"""Kept features are those that would be computed, and a training with them is the same one."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

from models.subject_diffusion.features import Seen
from pipeline.errors import UserError
from pipeline.train.batch import Collate
from pipeline.train.command import train_subjects
from pipeline.train.feature_cache import FeatureCache
from pipeline.train.identity import feature_identity
from pipeline.train.samples import Samples
from pipeline.train.setup import load_models, open_shards, reading_of
from pipeline.train.step import computed
from tests.pipeline.runs import subjectforge
from tests.pipeline.train.test_exact import begun
from tests.pipeline.train.trainings import CONFIG, difference, settings, short_config

IDENTITY = {"of": "these"}


@pytest.fixture(scope="module")
def config(built):
    return short_config(built, fixed_pictures=True, speed__workers=0)


@pytest.fixture(scope="module")
def seen(config):
    """Frozen models, and two batches that have a row in common."""
    model, features, base, _ = load_models(config)
    samples = Samples(open_shards(config, "train"), reading_of(config, model, base))
    collate = Collate(model.template)
    size = samples.order.epoch_size
    batches = [
        collate([samples[p] for p in positions]) for positions in ((0, 1, 2, 3), (size, 0, 5, size + 1))
    ]
    return features, batches


def same(one, other, tolerance=0.0):
    return all(torch.allclose(a, b, rtol=0, atol=tolerance) for a, b in zip(one, other, strict=True))


def test_a_row_has_the_same_pictures_in_every_epoch(config):
    model, _, base, _ = load_models(config)
    samples = Samples(open_shards(config, "train"), reading_of(config, model, base))
    size = samples.order.epoch_size
    first = {samples[p].row: samples[p] for p in range(size)}
    assert all(0 <= row < size for row in first)
    for position in range(size, size + 8):
        again = samples[position]
        assert (again.example.image_SSC == first[again.row].example.image_SSC).all()
        assert (again.example.reference_KRRC == first[again.row].example.reference_KRRC).all()
        assert (again.dice.noise_CHW != first[again.row].dice.noise_CHW).any()


def test_what_is_kept_is_what_was_computed(seen, tmp_path):
    features, (batch, other) = seen
    cache = FeatureCache(tmp_path, IDENTITY)
    fresh = computed(features, batch)
    assert same(cache(features, batch), fresh)
    assert same(cache(None, batch), fresh), "computed again"
    assert same(FeatureCache(tmp_path, IDENTITY)(None, batch), fresh), "another process does not find it"
    assert same(cache(features, other), computed(features, other), 1e-5)
    assert same(cache(None, batch), fresh)


def test_precision_is_kept(seen, tmp_path):
    features, (batch, _) = seen
    halved = Seen(*(tensor.bfloat16() for tensor in computed(features, batch)))
    cache = FeatureCache(tmp_path, IDENTITY)
    kept = cache(lambda *_: halved, batch)
    assert all(tensor.dtype == torch.bfloat16 for tensor in kept)
    assert same(kept, halved)
    assert same(FeatureCache(tmp_path, IDENTITY)(None, batch), halved)


def test_pictures_that_change_are_computed(seen, tmp_path):
    features, (batch, _) = seen
    cache = FeatureCache(tmp_path, IDENTITY)
    assert same(cache(features, replace(batch, rows=())), computed(features, batch))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["other", "else", "broken", "file"])
def test_a_folder_that_cannot_be_used_is_told_in_a_line(seen, tmp_path, what):
    features, (batch, _) = seen
    folder = tmp_path / "cache"
    if what == "file":
        folder.write_text("")
    elif what == "else":
        folder.mkdir()
        (folder / "thesis.tex").write_text("")
    else:
        FeatureCache(folder, IDENTITY)(features, batch)
        if what == "broken":
            (folder / "features.json").write_text("{")
    with pytest.raises(UserError, match=r"feature_cache.*give another folder"):
        FeatureCache(folder, {"of": "others"} if what == "other" else IDENTITY)


def test_what_decides_features_is_in_their_identity_and_speed_is_not(config, built):
    def identity(**changes):
        return feature_identity(short_config(built, fixed_pictures=True, **changes), [5, 7], "fp32")

    same_ones = [{"optimiser__lr": 1.0}, {"speed__threads": 2}, {"model__adapter": False}, {"batch": 2}]
    others = [
        {"pixels": 64},
        {"seed": 1},
        {"rules__max_subjects": 1},
        {"model__reference_background": "mix"},
    ]
    assert all(identity(**changes) == identity() for changes in same_ones)
    assert all(identity(**changes) != identity() for changes in others)
    assert feature_identity(config, [5, 7], "bf16") != feature_identity(config, [7, 5], "bf16")


def test_a_cache_of_pictures_that_change_is_refused(built):
    with pytest.raises(UserError, match="fixed_pictures: true"):
        short_config(built, speed__feature_cache="somewhere")


def test_a_training_with_kept_features_is_the_same_one(built, config, tmp_path):
    """The second time all of them are on the disk; killed in between, and with pages damaged."""
    plain, cached, again, killed = (tmp_path / name for name in ("plain", "cached", "again", "killed"))
    more = {"fixed_pictures": True, "speed__workers": 0}
    kept = {**more, "speed__feature_cache": tmp_path / "features"}
    train_subjects(config, plain)
    train_subjects(short_config(built, **kept), cached)
    assert (tmp_path / "features" / "features.bin").stat().st_size > 0
    train_subjects(short_config(built, **kept), again)
    assert difference(plain, cached) == 0
    assert difference(plain, again) == 0
    shutil.rmtree(tmp_path / "features")
    process = begun(built, killed, 4, **kept)
    process.kill()
    process.communicate()
    path = tmp_path / "features" / "features.bin"
    os.truncate(path, path.stat().st_size - 1000)
    done = subjectforge("train", CONFIG, *settings(built, **kept), "--output", killed)
    assert done.returncode == 0, done.stderr
    assert difference(plain, killed) == 0
    assert json.loads((killed / "run.json").read_text())["identity"]["fixed_pictures"] is True
