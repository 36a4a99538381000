# SPDX-License-Identifier: Apache-2.0
"""Making rows anew: which, how often, and what became of the old ones."""

import shutil

import pytest

from pipeline.errors import UserError
from pipeline.retry import conditions
from tests.pipeline.again import LOCAL, assert_whole, index_of, retry
from tests.pipeline.light import events_of, pictures, rows_of
from tests.pipeline.runs import build, digests, one_line, subjectforge


@pytest.fixture
def dataset(tmp_path, source, config):
    build(source, tmp_path / "out", *LOCAL, config=config)
    return tmp_path / "out"


def test_a_retry_of_a_reason_that_no_row_has_says_which_there_are(flawed):
    assert "came to nothing: flaky: ConnectionError 1" in retry(flawed, "reason=unraedable").stdout


def test_a_retry_of_an_unfinished_build_says_so(flawed):
    (flawed / "data" / "train" / "00001_stats.json").unlink()
    assert "1 shard of the build to do" in retry(flawed, "reason=none").stdout


def test_a_retry_that_is_lost_gives_way_not_without_a_word(flawed):
    retry(flawed, "status=error")
    for path in (flawed / "data" / "train").glob("00003*"):
        path.unlink()
    assert "an earlier retry (--where status=error)" in retry(flawed, "reason=ConnectionError").stdout
    assert_whole(flawed)


def test_an_unreadable_shard_of_a_retry_is_the_only_one_named(flawed):
    retry(flawed)
    (flawed / "data" / "train" / "00003.parquet").write_bytes(b"PAR1")
    said = subjectforge("verify", flawed).stdout
    assert "train/00003: " in said
    assert "train/00000: " not in said


def test_a_retry_that_lacks_a_shard_is_told_of(flawed, source, config):
    retry(flawed)
    (flawed / "data" / "train" / "00003_stats.json").unlink()
    run = build(source, flawed, *LOCAL, config=config)
    assert "1 shard of a retry to do" in run.stdout
    assert "--where status=error" in run.stdout


def test_a_lost_listing_is_one_line(flawed, source, config):
    retry(flawed)
    (flawed / "_meta" / "source" / "00003.parquet").unlink()
    for command in (
        ("build", config, "--input", source, "--output", flawed, "--extend", *LOCAL),
        ("retry", flawed, *LOCAL),
    ):
        assert "does not list shard 00003" in one_line(subjectforge(*command))


def test_a_retry_of_several_inputs_has_to_be_told_which(tmp_path, source, config, dataset):
    other = shutil.copytree(source, tmp_path / "elsewhere")
    (other / "later.jpg").write_bytes(b"no picture")
    build(other, dataset, "--extend", *LOCAL, config=config)
    arguments = ("retry", dataset, "--where", "status=rejected", *LOCAL)
    assert "--input" in one_line(subjectforge(*arguments))
    run = subjectforge(*arguments, "--input", other)
    assert run.returncode == 0, run.stderr
    assert index_of(dataset).reason["later.jpg"] == "not_an_image"


def test_a_retry_makes_only_what_failed_and_its_rows_are_the_newer_ones(dataset, flawed, tmp_path):
    before = digests(flawed)
    assert index_of(flawed).status["0002.jpg"] == "error"
    (tmp_path / "broken").unlink()
    run = retry(flawed, "status=error", "reason=ConnectionError")
    assert "1 image in 1 shard: 0 done, 1 to do" in run.stdout
    assert "images in    10" in run.stdout
    assert "errors 0" in run.stdout
    after = digests(flawed)
    assert {name: after[name] for name in before} == before
    rows, index = rows_of(flawed), index_of(flawed)
    assert len(rows) == 11
    assert len(index) == 10
    assert set(index.status) == {"ok"}
    assert (index.key["0002.jpg"], index.replaces["0002.jpg"]) == ("00003-00000", "00000-00002")
    assert rows.status["00000-00002"] == "error"
    plain = ["source_key", "sha256", "caption", "jpg_size"]
    assert (
        index.reset_index()[plain]
        .sort_values("source_key")
        .reset_index(drop=True)
        .equals(index_of(dataset).reset_index()[plain].sort_values("source_key").reset_index(drop=True))
    )
    assert_whole(flawed)
    assert "retry" in events_of(flawed)
    assert (
        "0002.jpg"
        in subjectforge("inspect", flawed, "--key", "00003-00000", "--png", tmp_path / "x.png").stdout
    )
    assert "no row" in retry(flawed, "status=error").stdout
    assert digests(flawed) == after


def test_what_fails_again_can_be_tried_again(flawed, source, config, tmp_path):
    retry(flawed, "status=error")
    assert index_of(flawed).key["0002.jpg"] == "00003-00000"
    (tmp_path / "broken").unlink()
    retry(flawed)
    assert index_of(flawed).key["0002.jpg"] == "00004-00000"
    assert index_of(flawed).status["0002.jpg"] == "ok"
    assert_whole(flawed)
    pictures(source / "later", [30])
    build(source, flawed, "--extend", *LOCAL, config=config)
    assert rows_of(flawed).source_key["00005-00000"] == "later/0000.jpg"
    assert_whole(flawed)
    assert "nothing to do" in build(source, flawed, *LOCAL, config=config).stdout


def test_a_retry_that_was_stopped_goes_on(flawed, tmp_path):
    (tmp_path / "broken").unlink()
    retry(flawed)
    whole = digests(flawed)
    for name in ("00003_stats.json", "00003.tar"):
        (flawed / "data" / "train" / name).unlink()
    assert subjectforge("verify", flawed).returncode == 1
    retry(flawed)
    assert digests(flawed) == whole
    assert_whole(flawed)


def test_a_file_that_could_not_be_read_can_be_retried(tmp_path, config):
    source, dataset = pictures(tmp_path / "in", [20, 21]), tmp_path / "out"
    (source / "0002.jpg").symlink_to(tmp_path / "late.jpg")
    build(source, dataset, *LOCAL, config=config)
    assert index_of(dataset).reason["0002.jpg"] == "unreadable"
    shutil.copy(source / "0000.jpg", tmp_path / "late.jpg")
    retry(dataset, "reason=unreadable")
    assert index_of(dataset).status["0002.jpg"] == "ok"
    assert_whole(dataset)


def test_conditions_that_exclude_one_another():
    with pytest.raises(UserError, match="given twice"):
        conditions(["reason=a", "reason=b"])


@pytest.mark.parametrize("where", ["status=ok", "colour=red", "status", "reason="])
def test_conditions_that_cannot_be(where):
    with pytest.raises(UserError, match="--where"):
        conditions([where])


def test_a_row_that_replaces_a_sample_is_found(flawed, tmp_path):
    (tmp_path / "broken").unlink()
    retry(flawed)
    folder, source = flawed / "data" / "train", flawed / "_meta" / "source"
    folder.joinpath("00000_stats.json").unlink()
    config = flawed / "_meta" / "config.yaml"
    assert config.exists()
    assert source.joinpath("00003.parquet").exists()
    build(tmp_path / "in", flawed, *LOCAL, config=tmp_path / "config.yaml")
    run = subjectforge("verify", flawed)
    assert run.returncode == 1
    assert "which is a sample" in run.stdout
