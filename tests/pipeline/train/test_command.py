# SPDX-License-Identifier: Apache-2.0
"""A whole training as a person runs it: what it leaves, and one line for a mistake."""

import json
import multiprocessing
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file

from models.backends.weights import located
from pipeline.errors import UserError
from pipeline.lease import Lease
from pipeline.train.command import train_subjects
from pipeline.train.config import load_train_config
from pipeline.train.metrics import last_metrics
from tests.pipeline.runs import one_line, subjectforge
from tests.pipeline.train.trainings import CONFIG, STEPS, WATCHED, settings, short_config


@pytest.fixture
def begun(finished, tmp_path):
    """A copy that one may go on with, or damage."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def unfinished(begun):
    """One that has its checkpoint and goes on from there."""
    (begun / "export" / "training.json").unlink()
    return begun


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_what_a_run_leaves(finished):
    there = {path.name for path in finished.iterdir()}
    assert {"metrics.jsonl", "config.yaml", "run.json", "train.html", "export", "samples"} <= there
    assert [path.name for path in (finished / "checkpoints").iterdir()] == [f"step-{STEPS:08d}"]
    assert any((finished / "tensorboard").iterdir())


def validated(run):
    return {line["step"]: line["validation_loss"] for line in lines(run) if "validation_loss" in line}


def test_validation_is_always_of_the_same(finished, built, tmp_path):
    assert [*validated(finished)] == [3, 6]
    # Nothing is learnt without a learning rate.
    config = short_config(built, **{**WATCHED, "watching.sample_every": 0, "optimiser.lr": "1.0e-30"})
    train_subjects(config, tmp_path / "run")
    found = validated(tmp_path / "run")
    assert found[3] == found[6]


def test_grids_show_references_truth_and_new_pictures(finished):
    paths = sorted((finished / "samples").iterdir())
    assert [path.name for path in paths] == ["step-00000003.png", "step-00000006.png"]
    grid = np.asarray(Image.open(paths[1]))
    assert grid.shape == (3 * 32, 5 * 32, 3)
    assert all(grid[:, column * 32 : (column + 1) * 32].std() > 10 for column in (0, 2, 3, 4))


def test_the_page_stands_alone(finished):
    page = (finished / "train.html").read_text()
    assert page.count("<polyline") > 8
    assert page.count("data:image/png;base64,") == 2
    assert "6 of 6 steps" in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_was_trained_is_a_file_of_its_own(finished):
    with safe_open(finished / "export" / "trained.safetensors", "pt") as file:
        names = [*file.keys()]
    assert {name.partition(".")[0] for name in names} == {"unet", "text_encoder", "projector", "grounding"}
    told = json.loads((finished / "export" / "training.json").read_text())
    assert told["steps"] == STEPS
    assert told["config"]["base"] == "miniature:text2image"


def test_a_finished_run_is_left_as_it_is(begun, built, capsys):
    before = {path: path.stat().st_mtime_ns for path in begun.rglob("*") if path.is_file()}
    train_subjects(short_config(built, **WATCHED), begun)
    assert "6 of 6 steps" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in begun.rglob("*") if path.is_file()} == before


def test_what_was_cut_off_at_the_end_is_made_up_for(unfinished, built):
    before = lines(unfinished)
    train_subjects(short_config(built, **WATCHED), unfinished)
    assert lines(unfinished) == before
    assert (unfinished / "export" / "training.json").exists()


def test_the_last_line_of_a_record(finished, tmp_path):
    assert last_metrics(finished) == lines(finished)[-1]
    assert last_metrics(tmp_path) is None
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2, "lo')
    assert last_metrics(tmp_path) == {"step": 1}
    (tmp_path / "metrics.jsonl").write_text('{"st')
    assert last_metrics(tmp_path) is None


def test_more_steps_may_be_asked_for(built, tmp_path):
    for steps in (1, 2):
        config = short_config(built, max_steps=steps, optimiser__schedule="constant")
        train_subjects(config, tmp_path / "run")
    assert [line["step"] for line in lines(tmp_path / "run")] == [1, 2]


def test_it_may_begin_with_an_earlier_training(built, tmp_path):
    shipped = load_file(Path(located("miniature:subject_diffusion")) / "trained.safetensors")
    changes = {"max_steps": 1, "optimiser.lr": "1.0e-30", "begin": "miniature:subject_diffusion"}
    train_subjects(short_config(built, **changes), tmp_path / "run")
    after = load_file(tmp_path / "run" / "export" / "trained.safetensors")
    assert after.keys() == shipped.keys()
    assert all(np.array_equal(after[name], shipped[name]) for name in shipped)


def test_another_configuration_is_refused(begun, built):
    with pytest.raises(UserError, match=r"differ in batch, model\.attention_weight"):
        train_subjects(short_config(built, batch=8, model__attention_weight=0.5), begun)


def test_another_dataset_is_refused(begun, built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "dataset")
    for path in (copy / "data" / "train").glob("00003*"):
        path.unlink()
    with pytest.raises(UserError, match=r"data\.samples"):
        train_subjects(short_config(copy), begun)


def test_a_checkpoint_of_another_architecture(unfinished, built):
    told = json.loads((unfinished / "run.json").read_text())
    told["identity"]["model"]["adapter"] = False
    (unfinished / "run.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="of another model, for instance in"):
        train_subjects(short_config(built, model__adapter=False), unfinished)


@pytest.mark.parametrize("name", ["model.safetensors", "optimiser.safetensors", "state.json"])
def test_a_damaged_checkpoint(unfinished, built, name):
    path = unfinished / "checkpoints" / f"step-{STEPS:08d}" / name
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(UserError, match=r"cannot go on from .*step-00000006.*remove it"):
        train_subjects(short_config(built), unfinished)


def test_a_half_written_checkpoint_is_none(unfinished, built):
    folder = unfinished / "checkpoints"
    shutil.copytree(folder / f"step-{STEPS:08d}", folder / "step-00000007.partial")
    (folder / "step-00000007.partial" / "state.json").unlink()
    train_subjects(short_config(built), unfinished)


def test_official_shards_train_as_well(built, tmp_path):
    folder = tmp_path / "tars"
    folder.mkdir()
    for path in (built / "data" / "train").glob("*.tar"):
        with webdataset.TarWriter(str(folder / path.name)) as writer:
            for sample in webdataset.WebDataset(str(path), shardshuffle=False):
                fields = json.loads(sample["json"])
                kept = {name: fields[name] for name in ("caption", "mask")}
                writer.write({**sample, "json": json.dumps(kept).encode()})
    config = short_config(folder, layout="official", max_steps=1)
    train_subjects(config, tmp_path / "run")
    assert lines(tmp_path / "run")[0]["loss"] > 0


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"dataset": "./nowhere"}, "nowhere has no shard"),
        ({"split": "test"}, "no shard of split test"),
        ({"base": "./nowhere"}, "./nowhere"),
        ({"base": "miniature:text2image_xl"}, "StableDiffusionXLPipeline"),
        ({"subject_encoder": "miniature:judge"}, "miniature:judge"),
        ({"pixels": 33}, "multiple of 4"),
        ({"batch": 3, "speed.micro_batch": 2}, "no multiple"),
        ({"begin": "./nowhere"}, "./nowhere"),
        ({"begin": "miniature:clip"}, "give `begin:` the export of a training"),
        ({"begin": "miniature:subject_diffusion", "model.adapter": False}, "of another architecture"),
        ({"bare_captions": 2}, "less than or equal to 1"),
        ({"rules.score": 1.0}, "no usable sample"),
        ({"model.suffix": "the {label}"}, "suffix"),
        ({"model.attention_cells": [3, 7]}, "attention_cells is [3, 7]"),
        ({"rules.max_subjects": 3}, "max_subjects"),
        ({"optimiser.lr": 0}, "greater than 0"),
        ({"speed.precision": "fp8"}, "fp8"),
        ({"watching.validation_split": "val"}, "split val"),
        ({"max_stepz": 3}, "did you mean 'max_steps'"),
    ],
)
def test_mistakes(built, tmp_path, changes, part):
    with pytest.raises(UserError) as caught:
        train_subjects(short_config(**{"dataset": built, **changes}), tmp_path / "run")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_start_that_failed_keeps_nobody_out(built, tmp_path):
    run = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(UserError, match="nowhere"):
            train_subjects(short_config(built, base="./nowhere"), run)
    assert (run / "run.json").exists()
    (run / "run.json").unlink()
    train_subjects(short_config(built, max_steps=1), run)
    assert [line["step"] for line in lines(run)] == [1]
    assert "text2image" in (run / "config.yaml").read_text()


def test_one_training_at_a_time(built, tmp_path):
    with Lease.take(tmp_path / "run"), pytest.raises(UserError, match="another run"):
        train_subjects(short_config(built, max_steps=1), tmp_path / "run")
    train_subjects(short_config(built, max_steps=1), tmp_path / "run")


def test_fewer_steps_than_are_done(unfinished, built):
    told = json.loads((unfinished / "run.json").read_text())
    told["identity"]["max_steps"] = STEPS - 1
    (unfinished / "run.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=f"has {STEPS} steps already"):
        train_subjects(short_config(built, max_steps=STEPS - 1), unfinished)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_ends_early(built, tmp_path, workers):
    """Known once it is read; and no worker stays behind, though the error is still held."""
    copy = shutil.copytree(built, tmp_path / "dataset")
    for path in (copy / "data" / "train").glob("*.tar"):
        path.write_bytes(path.read_bytes()[:4096])
    with pytest.raises(UserError, match=r"cannot read .*\.tar row \d+ .*expected at byte") as caught:
        train_subjects(short_config(copy, speed__workers=workers), tmp_path / "run")
    assert not multiprocessing.active_children(), caught


def test_a_checkpoint_that_cannot_be_written(built, tmp_path):
    run = tmp_path / "run"
    train_subjects(short_config(built, max_steps=1, optimiser__schedule="constant"), run)
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").touch()
    with pytest.raises(UserError, match="cannot save step 3"):
        train_subjects(short_config(built, max_steps=3, optimiser__schedule="constant"), run)


def test_replaced_samples_are_told_with_their_reasons(built, tmp_path):
    """And as many when the training was stopped on the way."""
    changes = {"rules.score": 0.9, "optimiser.schedule": "constant"}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_subjects(short_config(built, **changes), whole)
    for steps in (2, STEPS):
        train_subjects(short_config(built, **{**changes, "max_steps": steps}), stopped)
    found = [(line["replaced"], line.get("replaced_why")) for line in lines(whole)]
    assert found == [(line["replaced"], line.get("replaced_why")) for line in lines(stopped)]
    total = sum(count for count, _ in found)
    assert 0 < total == sum(sum((why or {}).values()) for _, why in found)
    assert re.search(rf"replaced</dt><dd>{total}<small>[^<]*\d score", (whole / "train.html").read_text())


def test_a_mistake_is_one_line(built, tmp_path):
    assert "nowhere" in one_line(
        subjectforge("train", CONFIG, "--set", "dataset=./nowhere", "--output", tmp_path)
    )
    (tmp_path / "something").touch()
    line = one_line(subjectforge("train", CONFIG, *settings(built), "--output", tmp_path))
    assert "not empty" in line


def test_the_shipped_configurations_are_whole():
    for path in sorted(CONFIG.parent.glob("*.yaml")):
        config = load_train_config(path)
        assert config.dataset
        assert config.max_steps > 100
        assert config.checkpoint_every > 0


def test_the_published_answers_are_a_configuration():
    full, legacy = (load_train_config(CONFIG.with_name(f"{name}.yaml")) for name in ("full", "legacy"))
    assert legacy == replace(full, model=full.model.legacy(), rules=full.rules.legacy())
    assert legacy != full
