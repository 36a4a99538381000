# SPDX-License-Identifier: Apache-2.0
"""Pipes and folders with the names of a dataset's files: told of, never waited for."""

import os
import shutil

import pytest

from tests.pipeline.checks import about, check
from tests.pipeline.light import light_config, pictures
from tests.pipeline.runs import build, digests, one_line, subjectforge

LOCAL = ("--executor", "local")
SHARD = ("00001.tar", "00001.parquet", "00001_stats.json")
META = ("manifest.json", "config.yaml", "digests.json", "index.parquet", "lease.json", "source/00000.parquet")


def become_a_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize(
    "path", [*(f"data/train/{name}" for name in SHARD), *(f"_meta/{name}" for name in META)]
)
def test_a_pipe_is_told_of(dataset, path):
    become_a_pipe(dataset / path)
    assert about(check(dataset), f"{path} is a pipe, no file")


def test_a_pipe_among_what_is_known_of_a_build_stops_every_command(dataset):
    become_a_pipe(dataset / "_meta" / "lease.json")
    run = subjectforge("verify", dataset)
    assert run.returncode == 1
    assert "_meta/lease.json is a pipe" in run.stdout
    assert "lease.json is a pipe, no file; remove it" in one_line(subjectforge("retry", dataset))


@pytest.mark.parametrize("name", ["lease.json", "digests.json", "events.jsonl", "manifest.json"])
def test_a_folder_among_what_is_known_of_a_build_is_to_be_moved_away(finished, name):
    root, (source, *_), config = finished
    path = root / "_meta" / name
    path.unlink(missing_ok=True)
    path.mkdir()
    command = ("build", config, "--input", source, "--output", root, *LOCAL)
    for again in (command, ("retry", root, *LOCAL)):
        assert f"{name} is a folder, no file; move it away" in one_line(subjectforge(*again))


@pytest.mark.parametrize("name", ["inflight", "timings", "source"])
def test_a_file_in_the_place_of_a_folder_is_to_be_moved_away(finished, name):
    root, (source, *_), config = finished
    shutil.rmtree(root / "_meta" / name, ignore_errors=True)
    (root / "_meta" / name).touch()
    (root / "_meta" / "digests.json").unlink()
    command = ("build", config, "--input", source, "--output", root, *LOCAL)
    assert f"{name} is a file, no folder; move it away" in one_line(subjectforge(*command))


@pytest.mark.parametrize("name", SHARD)
def test_a_pipe_among_the_shards_stops_a_retry(finished, name):
    root, *_ = finished
    become_a_pipe(root / "data" / "train" / name)
    assert f"{name} is a pipe, no file; remove it" in one_line(subjectforge("retry", root, *LOCAL))


@pytest.fixture
def finished(tmp_path):
    """A dataset of three shards, and the command that made it."""
    source = pictures(tmp_path / "in", [20] * 12)
    arguments = (source, tmp_path / "out", *LOCAL)
    build(*arguments, config=light_config(tmp_path / "config.yaml"))
    return tmp_path / "out", arguments, tmp_path / "config.yaml"


@pytest.mark.parametrize("name", SHARD)
def test_the_build_again_puts_a_file_in_a_pipes_place(finished, name):
    root, arguments, config = finished
    before = digests(root)
    become_a_pipe(root / "data" / "train" / name)
    build(*arguments, config=config)
    assert digests(root) == before


@pytest.mark.parametrize("name", SHARD)
def test_a_folder_in_a_files_place_is_to_be_moved_away(finished, name):
    root, (source, *_), config = finished
    before, path = digests(root), root / "data" / "train" / name
    path.unlink()
    path.mkdir()
    assert f"{name} " in "".join(map(str, check(root).problems))
    command = ("build", config, "--input", source, "--output", root, *LOCAL)
    assert f"{name} is a folder; move it away" in one_line(subjectforge(*command))
    shutil.rmtree(path)
    assert subjectforge(*command).returncode == 0
    assert digests(root) == before


@pytest.mark.parametrize("name", ["data", "_meta"])
def test_a_link_to_a_part_of_a_dataset_is_not_its_own(dataset, name):
    (dataset / name).rename(dataset.parent / "elsewhere")
    (dataset / name).symlink_to(dataset.parent / "elsewhere")
    assert [problem.what for problem in check(dataset).problems] == [
        f"{name} is a link, not the dataset's own"
    ]
