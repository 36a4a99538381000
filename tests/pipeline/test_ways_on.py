# SPDX-License-Identifier: Apache-2.0
"""Going on with a dataset that is there, or extending it."""

import tarfile

import pyarrow as pa
import pytest

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.new_part import write_part
from pipeline.dataset.parts import read_parts
from tests.pipeline.again import LOCAL, assert_whole, everything
from tests.pipeline.light import pictures, rows_of
from tests.pipeline.runs import build, digests, one_line, subjectforge


@pytest.fixture
def dataset(tmp_path, source, config):
    build(source, tmp_path / "out", *LOCAL, config=config)
    return tmp_path / "out"


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


def test_a_grown_dataset_without_a_shard_keeps_its_plan(dataset, source, config):
    pictures(source / "later", [30])
    build(source, dataset, "--extend", *LOCAL, config=config)
    before = digests(dataset)
    for path in (dataset / "data" / "train").glob("*_stats.json"):
        path.unlink()
    build(source, dataset, "--extend", *LOCAL, config=config)
    assert digests(dataset) == before
