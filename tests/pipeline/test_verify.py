# SPDX-License-Identifier: Apache-2.0
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.layout import all_shards, checked_shards
from pipeline.dataset.verify import verify
from pipeline.dataset.verify_foreign import check_foreign
from pipeline.errors import UserError
from tests.pipeline.checks import about, check, flip
from tests.shards import shard_table, write_tables


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


def test_a_lost_shard_accuses_no_other(dataset: Path) -> None:
    for path in (dataset / "data" / "train").glob("00000*"):
        path.unlink()
    problems = check(dataset).problems
    assert problems[0].shard == "train/00000"
    assert {problem.shard for problem in problems} <= {"train/00000", ""}


def test_a_folder_without_a_shard(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    assert about(check(tmp_path), "no shard is there")


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


def test_stats_that_nest_too_deeply(dataset: Path) -> None:
    (dataset / "data" / "train" / "00001_stats.json").write_text("[" * 100_000)
    assert about(check(dataset), "train/00001")
    assert [shard.number for shard in checked_shards(dataset)[1]] == [1]
