# SPDX-License-Identifier: Apache-2.0
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.layout import all_shards, checked_shards
from pipeline.dataset.problem import Problem, Verification
from pipeline.dataset.verify import verify
from pipeline.dataset.verify_foreign import check_foreign
from pipeline.errors import UserError
from tests.shards import shard_table, write_dataset, write_source, write_tables


def check(root: Path, deep: bool = False) -> Verification:
    return verify(root, deep=deep, workers=1)


def flip(path: Path, position: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def vouch(root: Path, number: int) -> None:
    """Make a shard's stats vouch for its files as they now are, as a careful forger would."""
    folder = root / "data" / "train"
    path = folder / f"{number:05d}_stats.json"
    stats = json.loads(path.read_text())
    for kind in stats["files"]:
        content = (folder / f"{number:05d}.{kind}").read_bytes()
        stats["files"][kind] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(stats, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    finish_dataset(root)


def about(found: Verification, *words: str) -> list[Problem]:
    return [problem for problem in found.problems if all(word in str(problem) for word in words)]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("clean") / "dataset", shards=3, rows=7)
    finish_dataset(root)
    return root


@pytest.fixture
def dataset(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "dataset"))


@pytest.mark.parametrize("deep", [False, True])
def test_clean_dataset_passes(clean: Path, deep: bool) -> None:
    found = check(clean, deep)
    assert found.problems == ()
    assert found.ok
    counts = found.counts
    assert (counts.shards, counts.rows, counts.samples, counts.rejected, counts.errors) == (3, 21, 15, 3, 3)
    assert counts.instances > counts.samples
    assert counts.bytes == sum(path.stat().st_size for path in (clean / "data").rglob("*.*"))
    assert "21 rows: 15 samples" in found.line()


def test_processes_find_what_one_process_finds(dataset: Path) -> None:
    flip(dataset / "data/train/00001.tar", 5000)
    flip(dataset / "data/train/00002.parquet", 50)
    steps: list[tuple[int, int]] = []
    found = verify(dataset, workers=2, progress=lambda done, total: steps.append((done, total)))
    assert found == check(dataset)
    assert {problem.shard for problem in found.problems} == {"train/00001", "train/00002"}
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["00001.parquet", "00001_stats.json"])
def test_any_bit_of_the_tables_counts(dataset: Path, name: str, seed: int) -> None:
    path, rng = dataset / "data" / "train" / name, np.random.default_rng(seed)
    flip(path, int(rng.integers(path.stat().st_size)), int(rng.integers(8)))
    assert "train/00001" in {problem.shard for problem in check(dataset).problems}


@pytest.mark.parametrize("seed", range(30))
def test_any_bit_of_the_tar_is_traced_to_its_sample(dataset: Path, seed: int) -> None:
    path, rng = dataset / "data/train/00001.tar", np.random.default_rng(seed)
    rows = [row for row in pq.read_table(path.with_suffix(".parquet")).to_pylist() if row["status"] == "ok"]
    end = rows[-1]["txt_offset"] + rows[-1]["txt_size"]
    position = int(rng.integers(end))
    flip(path, position, int(rng.integers(8)))
    owner = [row for row in rows if row["jpg_offset"] - 512 <= position][-1]
    inside_jpg = 0 <= position - owner["jpg_offset"] < owner["jpg_size"]
    found = check(dataset)
    assert about(found, "train/00001", "sha256")
    traced = [problem for problem in found.problems if problem.key]
    assert {problem.key for problem in traced} <= {owner["key"]}
    assert all(problem.offset <= position + 512 for problem in traced)
    if not (inside_jpg and owner["reencoded"]):
        assert traced, "only a re-encoded picture has no second witness"


def test_end_of_the_tar_counts(dataset: Path) -> None:
    path = dataset / "data/train/00001.tar"
    flip(path, path.stat().st_size - 1)
    assert about(check(dataset), "train/00001", "end of the archive")


@pytest.mark.parametrize("name", ["00001.tar", "00001.parquet", "00001_stats.json"])
@pytest.mark.parametrize("keep", [0.0, 0.4, 0.99])
def test_truncated_file(dataset: Path, name: str, keep: float) -> None:
    path = dataset / "data" / "train" / name
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert about(check(dataset), "train/00001", name)


@pytest.mark.parametrize("name", ["00001.tar", "00001.parquet"])
def test_deleted_file(dataset: Path, name: str) -> None:
    (dataset / "data" / "train" / name).unlink()
    assert about(check(dataset), "train/00001", f"{name} is missing")


def test_deleted_stats(dataset: Path) -> None:
    (dataset / "data/train/00001_stats.json").unlink()
    found = check(dataset)
    assert about(found, "train/00001", "not there")
    assert about(found, "00001.tar", "belongs to no committed shard")
    assert about(found, "00001.parquet", "belongs to no committed shard")


def test_deleted_shard(dataset: Path) -> None:
    for path in (dataset / "data" / "train").glob("00002*"):
        path.unlink()
    found = check(dataset)
    assert about(found, "train/00002", "not there")
    assert about(found, "shards.json", "00002.tar")


def test_every_shard_deleted(dataset: Path) -> None:
    for path in (dataset / "data" / "train").iterdir():
        path.unlink()
    assert len(about(check(dataset), "not there")) == 3


def test_swapped_shards(dataset: Path) -> None:
    folder = dataset / "data" / "train"
    for suffix in (".tar", ".parquet", "_stats.json"):
        (folder / f"00000{suffix}").rename(folder / "aside")
        (folder / f"00001{suffix}").rename(folder / f"00000{suffix}")
        (folder / "aside").rename(folder / f"00001{suffix}")
    found = check(dataset)
    for shard, key in (("train/00000", "00001-00000"), ("train/00001", "00000-00000")):
        assert about(found, shard, key, "not its own")
        assert about(found, shard, "the stats say shard is")
        assert about(found, shard, "source listing, from row 0")


@pytest.mark.parametrize(
    "name", [".00001.tar.tmp-0123456789ab", "notes.txt", "00007.tar", "folder", "0_stats.json"]
)
def test_foreign_file(dataset: Path, name: str) -> None:
    path = dataset / "data" / "train" / name
    path.mkdir() if name == "folder" else path.touch()
    problems = check(dataset).problems
    assert len(problems) == 1
    assert name in problems[0].what


def test_foreign_file_beside_the_splits(dataset: Path) -> None:
    (dataset / "data" / "notes.txt").touch()
    assert about(check(dataset), "data/notes.txt")


def test_rows_that_are_not_the_listings(dataset: Path) -> None:
    tables = [shard_table(number, rows=7) for number in range(3)]
    tables[1] = tables[1].slice(0, 5)
    write_source(dataset, tables)
    finish_dataset(dataset)
    problems = check(dataset).problems
    assert [problem.shard for problem in problems] == ["train/00001"]
    assert "from row 5 on" in problems[0].what


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


def test_a_lost_shard_accuses_no_other(dataset: Path) -> None:
    for path in (dataset / "data" / "train").glob("00000*"):
        path.unlink()
    problems = check(dataset).problems
    assert problems[0].shard == "train/00000"
    assert {problem.shard for problem in problems} <= {"train/00000", ""}


def test_a_folder_without_a_shard(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    assert about(check(tmp_path), "no shard is there")


def test_list_of_shards_that_says_otherwise(dataset: Path) -> None:
    path = dataset / "_meta" / "shards.json"
    listing = json.loads(path.read_text())
    listing[1]["nsamples"] += 1
    path.write_text(json.dumps(listing))
    assert about(check(dataset), "data/train/00001.tar")


def replace_member(dataset: Path, edit: Callable[[bytes], bytes], extension: str) -> None:
    """Change the first sample's member in place, same length, and make the stats vouch for it."""
    path = dataset / "data/train/00001.tar"
    row, content = first_row(dataset), path.read_bytes()
    start = row[f"{extension}_offset"]
    end = start + row[f"{extension}_size"]
    new = edit(content[start:end])
    assert new != content[start:end]
    assert len(new) == end - start
    path.write_bytes(content[:start] + new + content[end:])
    vouch(dataset, 1)


def first_row(dataset: Path) -> dict[str, Any]:
    return pq.read_table(dataset / "data/train/00001.parquet").to_pylist()[0]


EDITS: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "score": ("json", lambda old: old.replace(b'"det_score":0.', b'"det_score":1.', 1), "det_score"),
    "number": (
        "json",
        lambda old: old.replace(b'"schema_version":2', b'"schema_version":1'),
        "schema_version",
    ),
    "label": ("json", lambda old: old.replace(b'"background"', b'"backgroynd"'), "mask is not the list"),
    "status": ("json", lambda old: old.replace(b'"status":"ok"', b'"status":"ko"'), "status"),
    "type": ("json", lambda old: old.replace(b'"width":96', b'"width":"6'), "unreadable"),
    "field": ("json", lambda old: old.replace(b'"caption"', b'"captain"'), "other fields"),
    "not a number": ("json", lambda old: old.replace(b'"height":96,', b'"height":NaN', 1), "unreadable"),
    "text": ("txt", lambda old: old[::-1], "neither the row's alt text nor its caption"),
    "jpg": ("jpg", lambda old: old[:-40] + bytes(40), "not the source's"),
    "png": ("png", lambda old: old[:60] + bytes([old[60] ^ 1]) + old[61:], "checksum"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_forged_member_is_found_by_what_the_row_says(dataset: Path, edit: str) -> None:
    extension, change, words = EDITS[edit]
    replace_member(dataset, change, extension)
    found = check(dataset)
    problems = about(found, words)
    assert problems
    assert {(problem.shard, problem.key) for problem in found.problems} == {("train/00001", "00001-00000")}
    row = first_row(dataset)
    start, size = row[f"{extension}_offset"], row[f"{extension}_size"]
    assert all(start <= problem.offset <= start + size for problem in problems)


def entity(**values: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        row["entities"][0] |= values

    return change


def column(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.update(values)


WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "area": (entity(area=3), "area is 3"),
    "mask box": (entity(mask_box=[0, 0, 1, 1]), "mask_box"),
    "box outside": (entity(box=[0.0, 0.0, 97.0, 5.0]), "the box"),
    "box reversed": (entity(box=[5.0, 5.0, 1.0, 9.0]), "the box"),
    "box of three": (entity(box=[5.0, 5.0, 9.0]), "the box"),
    "score above one": (entity(det_score=1.5), "det_score"),
    "score below the next": (entity(det_score=0.01), "det_score"),
    "container": (entity(contained_in=1), "contained_in"),
    "span": (entity(span=[1, 4]), "the caption"),
    "head of a noun": (lambda row: row["nouns"][0].update(head_span=[0, 1]), "the caption"),
    "fill": (entity(fill=0.5), "fill is"),
    "span outside": (entity(span=[1, 400]), "the caption"),
    "digest": (column(sha256="0" * 64), "not the source's"),
    "ok with a reason": (column(stage="detect", reason="no_box"), "an ok row"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_rows_that_contradict_themselves(tmp_path: Path, wrong: str) -> None:
    change, words = WRONG[wrong]
    table = shard_table(0, rows=3)
    rows = table.to_pylist()
    place = next(i for i, row in enumerate(rows) if len(row["entities"]) > 1 and not row["reencoded"])
    change(rows[place])
    finish_dataset(write_tables(tmp_path, [pa.Table.from_pylist(rows, table.schema)]))
    problems = check(tmp_path).problems
    assert {problem.key for problem in problems} == {f"00000-0000{place}"}
    assert any(words in problem.what for problem in problems)


def test_picture_of_another_size(tmp_path: Path) -> None:
    other = shard_table(0, rows=1, size=64).to_pylist()[0]
    values = {"image": other["image"], "sha256": other["sha256"], "reencoded": False}
    finish_dataset(write_tables(tmp_path, [shard_table(0, rows=1, **values)]))
    problems = check(tmp_path).problems
    assert [problem.what for problem in problems] == ["the JPEG is RGB, 64 x 64 pixels"]


def test_only_deep_sees_a_picture_that_breaks_off(tmp_path: Path) -> None:
    image = shard_table(0, rows=1)["image"][0].as_py()
    cut = shard_table(0, rows=1, image=image[: len(image) // 2], reencoded=True)
    finish_dataset(write_tables(tmp_path, [cut]))
    assert check(tmp_path).ok
    problems = check(tmp_path, deep=True).problems
    assert [problem.key for problem in problems] == ["00000-00000"]
    assert "the JPEG is unreadable" in problems[0].what


def test_without_a_parquet_the_tar_still_counts(dataset: Path) -> None:
    folder = dataset / "data" / "train"
    (folder / "00001.parquet").unlink()
    assert not about(check(dataset), "members that it should")
    shutil.copy(folder / "00002.tar", folder / "00001.tar")
    assert about(check(dataset), "train/00001", "members that it should")


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_what_is_no_dataset_is_one_line(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="subjectforge build"):
        check(tmp_path / folder)


@pytest.mark.parametrize(
    "name", ["data/train/00001.tar", "data/train/00001_stats.json", "_meta/index.parquet"]
)
def test_a_link_is_not_the_datasets_own(dataset: Path, tmp_path: Path, name: str) -> None:
    (dataset / name).rename(tmp_path / "elsewhere")
    (dataset / name).symlink_to(tmp_path / "elsewhere")
    problems = check(dataset).problems
    assert len(problems) == 1
    assert about(check(dataset), name, "link")


def test_a_split_without_a_shard_is_foreign(dataset: Path) -> None:
    (dataset / "data" / "val").mkdir()
    assert [problem.what.split()[0] for problem in check(dataset).problems] == ["data/val"]


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


@pytest.mark.parametrize("name", ["000001_stats.json", "\u0660\u0660\u0660\u0660\u0661_stats.json"])
def test_no_other_name_stands_for_a_shards_stats(dataset: Path, name: str) -> None:
    folder = dataset / "data" / "train"
    (folder / "00001_stats.json").rename(folder / name)
    found = check(dataset)
    assert about(found, "train/00001", "not there")
    assert about(found, name, "belongs to no committed shard")


def test_stats_that_only_python_takes_for_the_same(dataset: Path) -> None:
    path = dataset / "data/train/00001_stats.json"
    path.write_text(path.read_text().replace('"failed_to_resize": 0', '"failed_to_resize": false'))
    assert about(check(dataset), "train/00001", "failed_to_resize is False")


def test_what_was_committed_meanwhile_is_nothing_foreign(dataset: Path) -> None:
    earlier = all_shards(dataset)[:-1]
    assert [*check_foreign(dataset, earlier)] == []


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


def test_stats_that_nest_too_deeply(dataset: Path) -> None:
    (dataset / "data" / "train" / "00001_stats.json").write_text(DEEP)
    assert about(check(dataset), "train/00001")
    assert [shard.number for shard in checked_shards(dataset)[1]] == [1]
