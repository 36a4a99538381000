# SPDX-License-Identifier: Apache-2.0
"""What may be done about a dataset that is there: go on, extend, overwrite, retry; all else is refused."""

import json
import shutil
import tarfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.new_part import write_part
from pipeline.dataset.parts import read_parts
from pipeline.errors import UserError
from pipeline.retry import conditions
from tests.pipeline.light import events_of, light_config, pictures, rows_of
from tests.pipeline.runs import build, digests, one_line, subjectforge

LOCAL = ("--executor", "local")
WIDTHS = [20, 21, 13, 23, 24, 25, 26, 27, 28, 29]


@pytest.fixture
def config(tmp_path):
    return light_config(tmp_path / "config.yaml", ("Flaky", {"broken": str(tmp_path / "broken")}))


@pytest.fixture
def source(tmp_path):
    return pictures(tmp_path / "in", WIDTHS)


@pytest.fixture
def dataset(tmp_path, source, config):
    build(source, tmp_path / "out", *LOCAL, config=config)
    return tmp_path / "out"


def index_of(dataset):
    return pd.read_parquet(dataset / "_meta" / "index.parquet").set_index("source_key")


def retry(dataset, *where, code=0):
    options = [part for condition in where for part in ("--where", condition)]
    run = subjectforge("retry", dataset, *options, *LOCAL)
    assert run.returncode == code, run.stderr
    return run


def assert_whole(dataset):
    run = subjectforge("verify", dataset)
    assert run.returncode == 0, run.stdout


def everything(dataset):
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in dataset.rglob("*") if path.is_file()
    }


def test_a_finished_command_changes_no_byte_and_computes_nothing(dataset, source, config):
    before = everything(dataset)
    assert "nothing to do" in build(source, dataset, *LOCAL, config=config).stdout
    assert "nothing to do" in build(source, dataset, "--extend", *LOCAL, config=config).stdout
    assert everything(dataset) == before


def test_new_items_become_new_shards_and_old_ones_stay(dataset, source, config):
    before = digests(dataset)
    pictures(source / "a_later_folder", [30, 31, 32, 33, 34])
    run = subjectforge("build", config, "--input", source, "--output", dataset, *LOCAL)
    assert "--extend" in one_line(run)
    assert digests(dataset) == before
    run = build(source, dataset, "--extend", *LOCAL, config=config)
    assert "15 images in 5 shards: 3 done, 2 to do" in run.stdout
    after = digests(dataset)
    assert {name: after[name] for name in before} == before
    rows = rows_of(dataset)
    assert list(rows.source_key[10:]) == [f"a_later_folder/{n:04d}.jpg" for n in range(5)]
    assert rows.index[10] == "00003-00000"
    assert_whole(dataset)
    for more in ((), ("--extend",)):
        assert "nothing to do" in build(source, dataset, *more, *LOCAL, config=config).stdout
    assert digests(dataset) == after


@pytest.mark.parametrize("before", [(), ("--limit", "8")])
def test_an_extension_takes_nothing_away(source, config, tmp_path, before):
    command = ("build", config, "--input", source, "--output", tmp_path / "out", *LOCAL)
    assert subjectforge(*command, *before).returncode == 0
    kept = everything(tmp_path / "out")
    assert "--extend" not in one_line(subjectforge(*command, "--limit", "5"))
    line = one_line(subjectforge(*command, "--limit", "5", "--extend"))
    assert "--limit 5 is less than the" in line
    assert subjectforge(*command, *before).returncode == 0
    changed = {path.name for path, found in everything(tmp_path / "out").items() if kept[path] != found}
    assert not changed


def test_an_item_in_two_listings_is_found(dataset, source, config):
    pictures(source / "a_later_folder", [30])
    build(source, dataset, "--extend", *LOCAL, config=config)
    parts = read_parts(dataset)
    listing = pa.concat_tables([parts[0].rows(0).slice(0, 1), parts[1].rows(3)])
    write_part(dataset, 3, listing, 4, parts[1].about)
    finish_dataset(dataset)
    run = subjectforge("verify", dataset)
    assert run.returncode == 1
    assert "'0000.jpg' after '0000.jpg': twice" in run.stdout


@pytest.mark.parametrize("change", ["gone", "longer"])
def test_an_extension_never_changes_what_was_there(dataset, source, config, change):
    before = digests(dataset)
    pictures(source / "more", [30])
    if change == "gone":
        (source / "0003.jpg").unlink()
    else:
        with (source / "0003.jpg").open("ab") as stream:
            stream.write(b"more")
    command = ("build", config, "--input", source, "--output", dataset, *LOCAL)
    line = one_line(subjectforge(*command))
    assert ("restore what was there" in line, "--extend" in line) == (change == "gone", change == "longer")
    line = one_line(subjectforge(*command, "--extend"))
    assert "0003.jpg" in line
    assert "--overwrite" in line
    assert digests(dataset) == before
    assert_whole(dataset)


def test_a_larger_limit_is_an_extension(tmp_path, source, config):
    dataset = tmp_path / "limited"
    build(source, dataset, "--limit", 4, *LOCAL, config=config)
    build(source, dataset, "--limit", 6, "--extend", *LOCAL, config=config)
    assert list(rows_of(dataset).source_key) == [f"{n:04d}.jpg" for n in range(6)]
    build(source, dataset, "--extend", *LOCAL, config=config)
    assert list(rows_of(dataset).source_key) == [f"{n:04d}.jpg" for n in range(10)]
    assert_whole(dataset)


def test_a_file_without_an_item_is_no_shard(tmp_path, config):
    source, dataset = tmp_path / "tars", tmp_path / "out"
    source.mkdir()
    for name, files in (("a", sorted(pictures(tmp_path / "in", [20, 21]).iterdir())), ("b", [])):
        build_before = name == "b"
        with tarfile.open(source / f"{name}.tar", "w") as tar:
            for file in files:
                tar.add(file, file.name)
        build(source, dataset, *(["--extend"] if build_before else []), *LOCAL, config=config)
    assert len(list((dataset / "_meta" / "source").iterdir())) == 1
    assert "nothing to do" in build(source, dataset, *LOCAL, config=config).stdout
    assert len(rows_of(dataset)) == 2
    assert_whole(dataset)


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


def test_a_retry_of_a_reason_that_no_row_has_says_which_there_are(flawed):
    assert "came to nothing: flaky: ConnectionError 1" in retry(flawed, "reason=unraedable").stdout


def test_a_retry_of_an_unfinished_build_says_so(flawed):
    (flawed / "data" / "train" / "00001_stats.json").unlink()
    assert "1 shard of the build to do" in retry(flawed, "reason=none").stdout


def test_a_lost_manifest_is_to_be_restored(flawed, source, config):
    (flawed / "_meta" / "manifest.json").unlink()
    build_again = ("build", config, "--input", source, "--output", flawed, *LOCAL)
    for command in (build_again, (*build_again, "--overwrite"), ("retry", flawed, *LOCAL)):
        line = one_line(subjectforge(*command))
        assert "_meta/manifest.json" in line
        assert "restore" in line


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


def test_a_grown_dataset_without_a_shard_keeps_its_plan(dataset, source, config):
    pictures(source / "later", [30])
    build(source, dataset, "--extend", *LOCAL, config=config)
    before = digests(dataset)
    for path in (dataset / "data" / "train").glob("*_stats.json"):
        path.unlink()
    build(source, dataset, "--extend", *LOCAL, config=config)
    assert digests(dataset) == before


def test_a_retry_of_several_inputs_has_to_be_told_which(tmp_path, source, config, dataset):
    other = shutil.copytree(source, tmp_path / "elsewhere")
    (other / "later.jpg").write_bytes(b"no picture")
    build(other, dataset, "--extend", *LOCAL, config=config)
    arguments = ("retry", dataset, "--where", "status=rejected", *LOCAL)
    assert "--input" in one_line(subjectforge(*arguments))
    run = subjectforge(*arguments, "--input", other)
    assert run.returncode == 0, run.stderr
    assert index_of(dataset).reason["later.jpg"] == "not_an_image"


def test_overwriting_takes_datasets_only(tmp_path, source, config):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    arguments = ("build", config, "--input", source, "--output", tmp_path / "thesis", "--overwrite", *LOCAL)
    assert "not empty" in one_line(subjectforge(*arguments))
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_both_ways_on_exclude_one_another(tmp_path, source, config):
    arguments = ("build", config, "--input", source, "--output", tmp_path / "x", "--overwrite", "--extend")
    assert "exclude one another" in one_line(subjectforge(*arguments))


@pytest.fixture
def flawed(tmp_path, source, config):
    """A dataset with one row that failed."""
    (tmp_path / "broken").touch()
    build(source, tmp_path / "flawed", *LOCAL, config=config)
    return tmp_path / "flawed"


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
