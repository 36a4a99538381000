# SPDX-License-Identifier: Apache-2.0
"""Commands that were killed after their last shard: the same command again finishes what they left."""

import json
import subprocess
import sys

import pytest

from tests.pipeline.light import light_config, pictures
from tests.pipeline.runs import ROOT, build, digests, one_line, subjectforge
from tests.pipeline.test_ways_on import LOCAL, WIDTHS, assert_whole, index_of, retry

DIES = """
import os, signal, sys
import pipeline.build, pipeline.build_command
pipeline.build.finish = pipeline.build_command.steps.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from pipeline.cli import main
sys.argv[0] = "subjectforge"
main()
"""


def dies_before_its_end(*arguments):
    """A command that gets a SIGKILL once all its shards are there."""
    run = subprocess.run([sys.executable, "-c", DIES, *map(str, arguments)], cwd=ROOT, capture_output=True)
    assert run.returncode == -9, run.stderr


def whole_index(dataset):
    return (dataset / "_meta" / "index.parquet").read_bytes()


@pytest.fixture
def config(tmp_path):
    return light_config(tmp_path / "config.yaml", ("Flaky", {"broken": str(tmp_path / "broken")}))


@pytest.fixture
def source(tmp_path):
    return pictures(tmp_path / "in", WIDTHS)


@pytest.fixture
def two(tmp_path, source, config):
    """Two equal datasets with one row that failed: one to be disturbed, one not to be."""
    (tmp_path / "broken").touch()
    for name in ("calm", "killed"):
        build(source, tmp_path / name, *LOCAL, config=config)
    return tmp_path / "calm", tmp_path / "killed"


def test_an_extension(two, source, config):
    calm, killed = two
    pictures(source / "later", [30, 31, 32])
    build(source, calm, "--extend", *LOCAL, config=config)
    arguments = ("build", config, "--input", source, "--output", killed, "--extend", *LOCAL)
    dies_before_its_end(*arguments)
    assert "nothing to do" in subjectforge(*arguments).stdout
    assert whole_index(killed) == whole_index(calm)
    assert_whole(killed)


def test_an_extension_without_a_new_item(source, config, tmp_path):
    command = ("build", config, "--input", source, "--output", tmp_path / "out", *LOCAL)
    dies_before_its_end(*command, "--limit", "3")
    dies_before_its_end(*command, "--limit", "2", "--extend")
    assert "nothing to do" in subjectforge(*command, "--limit", "2").stdout
    assert_whole(tmp_path / "out")


@pytest.mark.parametrize("repaired", [True, False])
def test_a_retry(two, tmp_path, repaired):
    calm, killed = two
    if repaired:
        (tmp_path / "broken").unlink()
    retry(calm)
    dies_before_its_end("retry", killed, *LOCAL)
    assert not (killed / "_meta" / "digests.json").exists()
    retry(killed)
    assert digests(killed) == digests(calm)
    assert whole_index(killed) == whole_index(calm)
    assert_whole(killed)
    if repaired:
        assert "no row" in retry(killed).stdout


def test_a_build_that_follows_a_killed_retry(two, source, config, tmp_path):
    _, killed = two
    (tmp_path / "broken").unlink()
    dies_before_its_end("retry", killed, *LOCAL)
    build(source, killed, *LOCAL, config=config)
    assert index_of(killed).status["0002.jpg"] == "ok"
    assert_whole(killed)


def half_done(dataset):
    """As if the last retry had been killed before it committed its shard."""
    for name in ("00003_stats.json", "00003.tar", "00003.parquet"):
        (dataset / "data" / "train" / name).unlink()
    (dataset / "_meta" / "digests.json").unlink()


def test_a_retry_with_other_code_or_configuration_is_refused_and_can_be_accepted(two, tmp_path, config):
    _, dataset = two
    (tmp_path / "broken").unlink()
    before = digests(dataset)
    changed = ("--set", "stages.read.short_side=17", *LOCAL)
    line = one_line(subjectforge("retry", dataset, *changed))
    assert "changed since: config.stages.read.short_side" in line
    assert "--accept-changes" in line
    assert digests(dataset) == before
    retry(dataset)
    half_done(dataset)
    again = ("retry", dataset, "--accept-changes")
    assert (
        "begun otherwise; changed since: config.stages.read"
        not in subjectforge("retry", dataset, *LOCAL).stderr
    )
    half_done(dataset)
    assert "changed since" in one_line(subjectforge("retry", dataset, *changed))
    run = subjectforge(*again, *changed)
    assert run.returncode == 0, run.stderr
    assert index_of(dataset).status["0002.jpg"] == "ok"
    assert_whole(dataset)


def test_an_unfinished_retry_that_was_begun_with_accepted_changes(two, tmp_path):
    _, dataset = two
    changed = ("--set", "stages.read.short_side=17", "--accept-changes", *LOCAL)
    assert subjectforge("retry", dataset, *changed).returncode == 0
    half_done(dataset)
    line = one_line(subjectforge("retry", dataset, *LOCAL))
    assert "this retry was begun otherwise; changed since: config.stages.read.short_side" in line
    assert subjectforge("retry", dataset, "--accept-changes", *LOCAL).returncode == 0
    assert_whole(dataset)


def test_a_damaged_configuration_makes_no_row(two):
    _, dataset = two
    config, before = dataset / "_meta" / "config.yaml", digests(dataset)
    whole = config.read_text()
    config.write_text("")
    assert "changed since: config." in one_line(subjectforge("retry", dataset, *LOCAL))
    assert digests(dataset) == before
    assert not (dataset / "_meta" / "source" / "00003.parquet").exists()
    config.write_text(whole)
    assert_whole(dataset)


def test_a_lost_configuration_comes_back(two, source, config):
    calm, dataset = two
    (dataset / "_meta" / "config.yaml").unlink()
    build(source, dataset, *LOCAL, config=config)
    assert (dataset / "_meta" / "config.yaml").read_text() == (calm / "_meta" / "config.yaml").read_text()
    assert_whole(dataset)


def test_a_picture_that_was_repaired_and_retried_is_no_reason_to_refuse(tmp_path, source, config):
    whole = (source / "0004.jpg").read_bytes()
    (source / "0004.jpg").write_bytes(whole[:400])
    dataset = tmp_path / "out"
    build(source, dataset, *LOCAL, config=config)
    assert index_of(dataset).status["0004.jpg"] != "ok"
    (source / "0004.jpg").write_bytes(whole)
    line = one_line(subjectforge("build", config, "--input", source, "--output", dataset, *LOCAL))
    assert "source (sizes of files)" in line
    extend = ("build", config, "--input", source, "--output", dataset, "--extend", *LOCAL)
    assert "0004.jpg" in one_line(subjectforge(*extend))
    retry(dataset, f"status={index_of(dataset).status['0004.jpg']}")
    assert index_of(dataset).status["0004.jpg"] == "ok"
    assert_whole(dataset)
    pictures(source / "later", [30])
    assert subjectforge(*extend).returncode == 0
    assert_whole(dataset)
    assert "nothing to do" in build(source, dataset, *LOCAL, config=config).stdout


def test_what_has_changed_of_a_source_is_told(two, source, config):
    _, dataset = two
    pictures(source / "later", [30, 31])
    (source / "0009.jpg").unlink()
    arguments = ("build", config, "--input", source, "--output", dataset, *LOCAL)
    line = one_line(subjectforge(*arguments, "--limit", "4"))
    assert "2 files new, the first is 'later/0000.jpg'; 1 file gone, the first is '0009.jpg'" in line
    assert "--limit (4, was none)" in line
    assert json.loads((dataset / "_meta" / "digests.json").read_text())
