# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from tests.pipeline.checks import about, check, flip, vouch


@pytest.mark.parametrize("path", ["_meta/shards.json", "_meta/source/00000.parquet", "_meta/index.parquet"])
def test_unreadable_listings(dataset: Path, path: str) -> None:
    (dataset / "_meta" / "digests.json").unlink()
    (dataset / path).write_bytes((dataset / path).read_bytes()[:-20])
    assert about(check(dataset), path, "unreadable")


META = (
    "manifest.json",
    "config.yaml",
    "source/00000.parquet",
    "shards.json",
    "index.parquet",
    "digests.json",
)


@pytest.mark.parametrize("name", META)
def test_what_is_known_of_the_build_belongs_to_it(dataset: Path, name: str) -> None:
    (dataset / "_meta" / name).unlink()
    assert about(check(dataset), f"_meta/{name} is missing")


@pytest.mark.parametrize("name", META)
def test_damage_to_what_is_known_of_the_build(dataset: Path, name: str) -> None:
    (dataset / "_meta" / name).write_bytes(b"[" + (dataset / "_meta" / name).read_bytes()[:-4])
    assert about(check(dataset), f"_meta/{name}")


def test_a_manifest_or_configuration_that_was_edited(dataset: Path) -> None:
    for content in ("shard_size: 3\n", "stages: {read: no mapping}\n", "stages: 3\n", "[]\n"):
        (dataset / "_meta" / "config.yaml").write_text(content)
        assert about(check(dataset), "config.yaml is not the configuration of the manifest")
    path = dataset / "_meta" / "manifest.json"
    path.write_text(path.read_text().replace('"config": {}', '"config": {"shard_size": 3}'))
    assert about(check(dataset), "manifest.json", "fingerprint")


def test_an_index_of_other_rows(dataset: Path) -> None:
    path = dataset / "_meta" / "index.parquet"
    table = pq.read_table(path)
    captions = pa.array(["a lie"] * table.num_rows)
    table = table.set_column(table.column_names.index("caption"), table.schema.field("caption"), captions)
    pq.write_table(table, path, row_group_size=7)
    finish_dataset(dataset)
    assert len(about(check(dataset), "index.parquet", "are not those of")) == 3
    pq.write_table(table.slice(0, 7), path)
    finish_dataset(dataset)
    found = about(check(dataset), "its rows are not in index.parquet")
    assert [problem.shard for problem in found] == ["train/00001", "train/00002"]


def test_list_of_shards_that_says_otherwise(dataset: Path) -> None:
    path = dataset / "_meta" / "shards.json"
    listing = json.loads(path.read_text())
    listing[1]["nsamples"] += 1
    path.write_text(json.dumps(listing))
    assert about(check(dataset), "data/train/00001.tar")


@pytest.mark.parametrize("name", ["notes.txt", "folder"])
def test_foreign_file_among_what_is_known_of_the_build(dataset: Path, name: str) -> None:
    path = dataset / "_meta" / name
    path.mkdir() if name == "folder" else path.touch()
    assert [problem.what.split()[0] for problem in check(dataset).problems] == [f"_meta/{name}"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", META)
def test_any_bit_of_what_is_known_of_the_build_counts(dataset: Path, name: str, seed: int) -> None:
    path, rng = dataset / "_meta" / name, np.random.default_rng(seed)
    flip(path, int(rng.integers(path.stat().st_size)), int(rng.integers(8)))
    assert about(check(dataset), f"_meta/{name}")


def test_the_index_follows_a_table_that_changed_beside_the_same_tar(dataset: Path) -> None:
    path = dataset / "data" / "train" / "00001.parquet"
    rows = pq.read_table(path)
    captions = pa.array(["another"] * rows.num_rows)
    rows = rows.set_column(rows.column_names.index("caption"), rows.schema.field("caption"), captions)
    pq.write_table(rows, path)
    listed = (dataset / "_meta" / "shards.json").read_bytes()
    vouch(dataset, 1)
    assert (dataset / "_meta" / "shards.json").read_bytes() == listed
    index = pq.read_table(dataset / "_meta" / "index.parquet").to_pandas()
    assert (index.caption == "another").sum() == rows.num_rows
    assert not about(check(dataset), "index.parquet")


DEEP = "[" * 100_000


@pytest.mark.parametrize("name", ["digests.json", "manifest.json", "shards.json", "config.yaml"])
def test_what_nests_too_deeply_is_a_problem_and_no_crash(dataset: Path, name: str) -> None:
    (dataset / "_meta" / name).write_text(DEEP[:3000] if name == "config.yaml" else DEEP)
    assert about(check(dataset), f"_meta/{name}")


@pytest.mark.parametrize(
    "entries", ['[{"url": 5}, {"url": "a"}]', '[{"url": null}, {}]', "3", '[{"url": {}}]']
)
def test_a_list_of_shards_that_is_none(dataset: Path, entries: str) -> None:
    (dataset / "_meta" / "shards.json").write_text(entries)
    assert about(check(dataset), "_meta/shards.json")
