# SPDX-License-Identifier: Apache-2.0
"""Beginning anew where a dataset is: only there, and with nothing of the old one left."""

import json
import os
from socket import gethostname

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.again import LOCAL, assert_whole, everything
from tests.pipeline.leases import write_lease
from tests.pipeline.runs import build, digests, one_line, subjectforge


@pytest.fixture
def dataset(tmp_path, source, config):
    build(source, tmp_path / "out", *LOCAL, config=config)
    return tmp_path / "out"


def test_overwriting_begins_anew(dataset, source, config, tmp_path):
    other = ("--set", "shard_size=5")
    line = one_line(subjectforge("build", config, "--input", source, "--output", dataset, *other, *LOCAL))
    assert "shard_size" in line
    assert "--overwrite" in line
    build(source, dataset, "--overwrite", *other, *LOCAL, config=config)
    build(source, tmp_path / "fresh", *other, *LOCAL, config=config)
    assert digests(dataset) == digests(tmp_path / "fresh")
    assert_whole(dataset)
    assert (
        json.loads((dataset / "_meta" / "manifest.json").read_text())["identity"]["config"]["shard_size"] == 5
    )


def test_an_overwriting_command_goes_on_with_its_own_work(dataset, source, config):
    other = ("--overwrite", "--set", "shard_size=5")
    build(source, dataset, *other, *LOCAL, config=config)
    before = everything(dataset)
    assert "nothing to do" in build(source, dataset, *other, *LOCAL, config=config).stdout
    assert everything(dataset) == before
    (dataset / "data" / "train" / "00001_stats.json").unlink()
    assert "1 done, 1 to do" in build(source, dataset, *other, *LOCAL, config=config).stdout


@pytest.mark.parametrize("mistake", ["no image", "no room"])
def test_what_cannot_begin_overwrites_nothing(tmp_path, dataset, config, mistake):
    before = digests(dataset)
    table = pa.table({"text": ["no picture"]})
    (tmp_path / "other").mkdir()
    pq.write_table(table, tmp_path / "other" / "a.parquet")
    inputs = tmp_path / ("other" if mistake == "no image" else "in")
    options = LOCAL if mistake == "no image" else ("--set", "stages.read.resources.cpus=50")
    arguments = (
        "build",
        config,
        "--input",
        inputs,
        "--output",
        dataset,
        "--overwrite",
        "--set",
        "shard_size=3",
    )
    one_line(subjectforge(*arguments, *options))
    assert digests(dataset) == before
    assert_whole(dataset)


def test_overwriting_leaves_what_is_not_ours(dataset, source, config):
    (dataset / "data" / "train" / "notes.txt").write_text("precious")
    build(source, dataset, "--overwrite", "--set", "shard_size=5", *LOCAL, config=config)
    assert (dataset / "data" / "train" / "notes.txt").read_text() == "precious"


def test_a_manifest_alone_makes_no_dataset(tmp_path, source, config):
    home = tmp_path / "home"
    (home / "_meta").mkdir(parents=True)
    (home / "_meta" / "manifest.json").write_text("{}")
    (home / "README.md").write_text("mine")
    arguments = ("build", config, "--input", source, "--output", home, *LOCAL)
    for more in ((), ("--overwrite",)):
        assert "manifest.json" in one_line(subjectforge(*arguments, *more))
    assert (home / "README.md").read_text() == "mine"


def test_a_lost_manifest_is_to_be_restored(flawed, source, config):
    (flawed / "_meta" / "manifest.json").unlink()
    build_again = ("build", config, "--input", source, "--output", flawed, *LOCAL)
    for command in (build_again, (*build_again, "--overwrite"), ("retry", flawed, *LOCAL)):
        line = one_line(subjectforge(*command))
        assert "_meta/manifest.json" in line
        assert "restore" in line


def test_overwriting_takes_datasets_only(tmp_path, source, config):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    arguments = ("build", config, "--input", source, "--output", tmp_path / "thesis", "--overwrite", *LOCAL)
    assert "not empty" in one_line(subjectforge(*arguments))
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_both_ways_on_exclude_one_another(tmp_path, source, config):
    arguments = ("build", config, "--input", source, "--output", tmp_path / "x", "--overwrite", "--extend")
    assert "exclude one another" in one_line(subjectforge(*arguments))


def test_what_another_run_has_just_removed_is_told_with_its_name(dataset):
    (dataset / "_meta" / "digests.json").unlink()
    (dataset / "_meta" / "source" / "00000.parquet").unlink()
    assert "is being written" not in one_line(subjectforge("retry", dataset, *LOCAL))
    write_lease(dataset)
    line = one_line(subjectforge("retry", dataset, *LOCAL))
    assert "00000.parquet is missing" in line
    assert f"is being written by another run (host {gethostname()}, process {os.getpid()}" in line
