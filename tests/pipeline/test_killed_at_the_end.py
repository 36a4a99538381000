# SPDX-License-Identifier: Apache-2.0
"""Commands that were killed after their last shard: the same command again finishes what they left."""

import json
import subprocess
import sys
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.new_part import write_part
from pipeline.dataset.parts import read_parts
from pipeline.holder import this_process
from pipeline.sources import LISTING
from tests.pipeline.again import LOCAL, assert_whole, index_of, retry
from tests.pipeline.checks import vouch
from tests.pipeline.light import pictures
from tests.pipeline.runs import ROOT, build, digests, one_line, subjectforge

DIES = """
import os, signal, sys
import pipeline.build, pipeline.build_command
pipeline.build.finish = pipeline.build_command.steps.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from pipeline.cli import main
sys.argv[0] = "subjectforge"
main()
"""


DEAD = {**asdict(this_process()), "pid": 2**22 - 1, "token": "dead", "beat": 1, "started": "then"}
"""The lease of a run that is no more."""


def dies_before_its_end(*arguments):
    """A command that gets a SIGKILL once all its shards are there."""
    run = subprocess.run([sys.executable, "-c", DIES, *map(str, arguments)], cwd=ROOT, capture_output=True)
    assert run.returncode == -9, run.stderr


def whole_index(dataset):
    return (dataset / "_meta" / "index.parquet").read_bytes()


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
    pictures(source / "later", [30])
    dies_before_its_end(*command, "--limit", "3", "--extend")
    assert "nothing to do" in subjectforge(*command, "--limit", "3").stdout
    assert_whole(tmp_path / "out")


@pytest.mark.parametrize("left", ["lease.json", "inflight/1-a.json"])
def test_what_is_left_after_the_last_step_is_taken_away(two, source, config, left):
    calm, killed = two
    path = killed / "_meta" / left
    path.parent.mkdir(exist_ok=True)
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    holder = asdict(this_process()) | {"pid": ended.pid, "born": 1, "token": "another", "beat": 3}
    ended.wait()
    path.write_text(json.dumps(holder))
    assert "nothing to do" in build(source, killed, *LOCAL, config=config).stdout
    assert sorted(path.name for path in (killed / "_meta").iterdir()) == sorted(
        path.name for path in (calm / "_meta").iterdir()
    )


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


def lose(dataset, *shards):
    """As if the last run had been killed before it committed these shards."""
    for shard in shards:
        for path in (dataset / "data" / "train").glob(f"{shard:05d}*"):
            path.unlink()
    (dataset / "_meta" / "digests.json").unlink()


@pytest.fixture
def failing(tmp_path, config):
    """A dataset of three shards in which every row failed, and what made it."""
    (tmp_path / "broken").touch()
    source = pictures(tmp_path / "all", [13] * 10)
    build(source, tmp_path / "failing", *LOCAL, config=config)
    return tmp_path / "failing", source


def test_a_retry_with_other_code_or_configuration_is_refused_and_can_be_accepted(two, tmp_path):
    _, dataset = two
    (tmp_path / "broken").unlink()
    before = digests(dataset)
    changed = ("--set", "stages.read.short_side=17", *LOCAL)
    line = one_line(subjectforge("retry", dataset, *changed))
    assert "changed since: config.stages.read.short_side" in line
    assert "--accept-changes" in line
    assert digests(dataset) == before
    assert_whole(dataset)
    run = subjectforge("retry", dataset, "--accept-changes", *changed)
    assert run.returncode == 0, run.stderr
    assert index_of(dataset).status["0002.jpg"] == "ok"
    assert_whole(dataset)


def test_the_rest_of_a_retry_that_was_begun_otherwise(failing):
    dataset, _ = failing
    changed = ("--set", "stages.read.short_side=17", "--accept-changes", *LOCAL)
    assert subjectforge("retry", dataset, *changed).returncode == 0
    lose(dataset, 4)
    line = one_line(subjectforge("retry", dataset, *LOCAL))
    assert "this retry was begun otherwise; changed since: config.stages.read.short_side" in line
    assert subjectforge("retry", dataset, "--accept-changes", *LOCAL).returncode == 0
    part = read_parts(dataset)[-1]
    assert part.about["earlier"][0]["config"]["stages"]["read"]["short_side"] == 17
    assert_whole(dataset)


def test_the_rest_of_a_retry_sees_files_that_were_mended_meanwhile(failing, tmp_path, config):
    dataset, source = failing
    retry(dataset)
    whole = digests(dataset)
    lose(dataset, 4, 5)
    assert "--where status=error" in one_line(subjectforge("retry", dataset, "--where", "stage=read", *LOCAL))
    picture = source / "0005.jpg"
    picture.write_bytes(picture.read_bytes() + b"longer")
    (tmp_path / "broken").unlink()
    retry(dataset)
    assert digests(dataset).keys() == whole.keys()
    assert_whole(dataset)
    assert (
        subjectforge("build", config, "--input", source, "--output", dataset, "--extend", *LOCAL).returncode
        == 0
    )
    assert "nothing to do" in build(source, dataset, *LOCAL, config=config).stdout


def test_a_retry_of_which_no_shard_is_there_is_planned_anew(failing, tmp_path, config):
    dataset, source = failing
    retry(dataset)
    lose(dataset, 3, 4, 5)
    picture = source / "0005.jpg"
    picture.write_bytes(picture.read_bytes() + b"longer")
    assert "no row" in retry(dataset, "stage=read").stdout
    assert len(read_parts(dataset)) == 1
    assert_whole(dataset)
    (tmp_path / "broken").unlink()
    retry(dataset)
    assert set(index_of(dataset).status) == {"ok"}
    assert_whole(dataset)


def test_a_retry_whose_run_was_killed_after_all_was_written_is_not_begun_again(two):
    _, dataset = two
    lease = dataset / "_meta" / "lease.json"
    retry(dataset)
    before = digests(dataset)
    lease.write_text(json.dumps({**DEAD, "retry": 3}))
    assert "nothing left to make" in retry(dataset).stdout
    assert digests(dataset) == before
    assert not lease.exists()
    retry(dataset)
    assert len(digests(dataset)) > len(before)
    assert_whole(dataset)


@pytest.mark.parametrize("unsealed", [False, True])
def test_a_retry_that_was_killed_before_it_had_planned_anything_is_not_the_one_before(
    two, tmp_path, unsealed
):
    _, dataset = two
    retry(dataset)
    (tmp_path / "broken").unlink()
    (dataset / "_meta" / "lease.json").write_text(json.dumps(DEAD))
    if unsealed:
        (dataset / "_meta" / "digests.json").unlink()
    retry(dataset)
    assert index_of(dataset).status["0002.jpg"] == "ok"
    assert_whole(dataset)


def test_a_second_retry_that_was_killed_before_its_first_shard(two, tmp_path):
    calm, killed = two
    retry(calm)
    retry(killed)
    (tmp_path / "broken").unlink()
    retry(calm)
    dies_before_its_end("retry", killed, *LOCAL)
    (last,) = (killed / "data" / "train").glob("00004_stats.json")
    last.unlink()
    assert "gives way to this one" in retry(killed).stdout
    assert digests(killed) == digests(calm)
    assert whole_index(killed) == whole_index(calm)
    assert_whole(killed)


@pytest.mark.parametrize("missing", ["report.html", "README.md"])
def test_a_lost_page_keeps_no_retry_from_its_work(two, tmp_path, missing):
    _, dataset = two
    retry(dataset)
    (dataset / missing).unlink()
    (tmp_path / "broken").unlink()
    retry(dataset)
    assert index_of(dataset).status["0002.jpg"] == "ok"
    assert (dataset / missing).exists()


WITH_ANOTHER_COLUMN = (
    "[read,benchmarks.faults.light_stages:Works,tests.pipeline.faulty_stages:Flaky,"
    "tests.pipeline.no_subjects:NoSubjects,write]"
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (("stages.write.split=val",), "config.stages.write.split cannot change in a retry"),
        (("shard_size=3",), "config.shard_size cannot change in a retry"),
        (("chain=" + WITH_ANOTHER_COLUMN,), "worked"),
        (("stages.read.resources.cpus=99",), "99"),
    ],
)
def test_a_retry_that_cannot_be_is_refused_before_anything_is_written(two, changes, line):
    _, dataset = two
    sets = [part for change in changes for part in ("--set", change)]
    assert line in one_line(subjectforge("retry", dataset, *sets, "--accept-changes"))
    assert len(read_parts(dataset)) == 1
    assert_whole(dataset)


def test_a_lost_first_listing_takes_no_later_one_with_it(two, source, config):
    _, dataset = two
    retry(dataset)
    folder = dataset / "_meta" / "source"
    whole = (folder / "00000.parquet").read_bytes()
    (folder / "00000.parquet").unlink()
    one_line(subjectforge("build", config, "--input", source, "--output", dataset, *LOCAL))
    assert (folder / "00003.parquet").exists()
    (folder / "00000.parquet").write_bytes(whole)
    assert_whole(dataset)


def test_a_retry_that_replaces_another_items_row_is_found(failing):
    dataset, _ = failing
    retry(dataset, "key=00000-00001")
    part = read_parts(dataset)[-1]
    rows = part.rows(3).set_column(7, LISTING.field("replaces"), pa.array(["00001-00002"]))
    write_part(dataset, 3, rows, 4, part.about)
    shard = dataset / "data" / "train" / "00003.parquet"
    table = pq.read_table(shard)
    place = table.column_names.index("replaces")
    pq.write_table(table.set_column(place, table.schema.field("replaces"), pa.array(["00001-00002"])), shard)
    vouch(dataset, 3)
    finish_dataset(dataset)
    said = subjectforge("verify", dataset)
    assert said.returncode == 1
    assert "00001-00002: a later shard replaces this row by one of another item, '0001.jpg'" in said.stdout


def test_a_damaged_configuration_makes_no_row(two):
    _, dataset = two
    config, before = dataset / "_meta" / "config.yaml", digests(dataset)
    whole = config.read_text()
    config.write_text("")
    digested = (dataset / "_meta" / "digests.json").read_bytes()
    assert "config.yaml is not as the last run left it" in one_line(subjectforge("retry", dataset, *LOCAL))
    (dataset / "_meta" / "digests.json").unlink()
    assert "changed since: config." in one_line(subjectforge("retry", dataset, *LOCAL))
    (dataset / "_meta" / "digests.json").write_bytes(digested)
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


def test_what_lies_beyond_a_limit_is_not_new(tmp_path, source, config):
    command = ("build", config, "--input", source, "--output", tmp_path / "out", "--limit", "4", *LOCAL)
    assert subjectforge(*command).returncode == 0
    (source / "0009.jpg").unlink()
    assert "source (files beyond the limit, or sizes of files)" in one_line(subjectforge(*command))
    (source / "0002.jpg").unlink()
    assert "1 file gone, the first is '0002.jpg'" in one_line(subjectforge(*command))


def test_what_has_changed_of_a_source_is_told(two, source, config):
    _, dataset = two
    pictures(source / "later", [30, 31])
    (source / "0009.jpg").unlink()
    arguments = ("build", config, "--input", source, "--output", dataset, *LOCAL)
    line = one_line(subjectforge(*arguments, "--limit", "4"))
    assert "2 files new, the first is 'later/0000.jpg'; 1 file gone, the first is '0009.jpg'" in line
    assert "--limit (4, was none)" in line
    assert json.loads((dataset / "_meta" / "digests.json").read_text())
