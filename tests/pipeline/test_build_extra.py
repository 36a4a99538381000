# SPDX-License-Identifier: Apache-2.0
"""A chain of somebody else's stages from the command line, without a model: what they add is kept."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.dataset.read_sample import find_sample
from tests.pipeline.runs import build, subjectforge

LIGHT = {"bright.png": 200, "dim.jpg": 60, "black.jpg": 0}
CHAIN = ["read", "tests.pipeline.my_stage:Brightness", "tests.pipeline.no_subjects:NoSubjects", "write"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, light in LIGHT.items():
        Image.new("RGB", (64, 48), (light,) * 3).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "light.yaml"
    path.write_text(yaml.safe_dump({"chain": CHAIN, "shard_size": 2}))
    return path


def test_a_column_of_ones_own_is_in_the_dataset(pictures, config, tmp_path):
    run = build(pictures, tmp_path / "out", "--executor", "local", config=config)
    assert "ignored" not in run.stdout
    assert run.stderr.splitlines()[-1].startswith("shard 2/2 · 3 images")
    rows = pd.read_parquet(tmp_path / "out" / "_meta" / "index.parquet").set_index("source_key")
    assert rows.status.to_dict() == {"bright.png": "ok", "dim.jpg": "ok", "black.jpg": "rejected"}
    for name in ("bright.png", "dim.jpg"):
        assert abs(rows.brightness[name] - LIGHT[name]) < 2
        record = find_sample(tmp_path / "out", name).record
        assert np.float32(record["extra"]["brightness"]) == rows.brightness[name]
    check = subjectforge("verify", tmp_path / "out")
    assert check.returncode == 0, check.stdout
    assert check.stderr.splitlines() == ["shard 2/2"]


def test_models_of_the_first_workers_are_loaded_once_a_process(pictures, tmp_path):
    notes, config = tmp_path / "notes", tmp_path / "chain.yaml"
    noted = "tests.pipeline.loaded_once:LoadedOnce"
    chain = ["read", noted, "tests.pipeline.no_subjects:NoSubjects", "write"]
    stages = {noted: {"notes": str(notes)}}
    config.write_text(yaml.safe_dump({"chain": chain, "shard_size": 1, "stages": stages}))
    build(pictures, tmp_path / "out", "--set", "stages.read.resources.workers=1", config=config)
    rows = pd.read_parquet(tmp_path / "out" / "_meta" / "index.parquet")
    loaded = notes.read_text().split()
    assert len(rows) == len(LIGHT)
    assert sorted(loaded) == sorted({*loaded})
    assert {*map(str, rows.worker)} <= {*loaded}
    assert len(loaded) < len(LIGHT)


@pytest.mark.parametrize(("others", "line"), [(1, "1 other file ignored"), (3, "3 other files ignored")])
def test_files_that_are_no_pictures_are_counted(pictures, config, tmp_path, others, line):
    folder = tmp_path / "in"
    shutil.copytree(pictures, folder)
    for number in range(others):
        (folder / f"notes{number}.txt").write_text("not a picture")
    run = build(folder, tmp_path / "out", "--executor", "local", config=config)
    assert line in run.stdout.splitlines()
