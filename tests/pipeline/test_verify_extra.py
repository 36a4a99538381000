# SPDX-License-Identifier: Apache-2.0
"""Columns that stages of other packages add: checked, indexed, listed on the card, and shown."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.read_sample import describe, find_sample
from pipeline.dataset.verify import verify
from pipeline.errors import UserError
from pipeline.report import write_report
from stages.columns import SAMPLE
from tests.pipeline.checks import about, check, vouch
from tests.pipeline.my_stage import Brightness
from tests.shards import shard_table, write_tables

ROWS = 6
BRIGHTNESS = pa.field("brightness", pa.float32())


def shard(number: int) -> pa.Table:
    """Rows after a stage of somebody else, and a column that only the parquet can hold."""
    table = Brightness(darkest=0.0).setup()(shard_table(number, rows=ROWS))
    return table.append_column("thumbnail", pa.array([bytes(row) for row in range(ROWS)], pa.binary()))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = write_tables(tmp_path / "dataset", [shard(number) for number in range(3)])
    finish_dataset(root)
    return root


def test_a_dataset_with_extra_columns_is_whole(dataset: Path) -> None:
    assert check(dataset, deep=True).problems == ()
    assert verify(dataset, workers=2).ok
    assert write_report(dataset).stat().st_size > 10_000


def test_index_and_card_have_them(dataset: Path) -> None:
    extra = [BRIGHTNESS, pa.field("thumbnail", pa.binary())]
    index = pq.read_table(dataset / "_meta" / "index.parquet")
    assert index.column_names == [*SAMPLE.names, "brightness", "thumbnail"]
    whole = [row for number in range(3) for row in shard(number).to_pylist()]
    for field in extra:
        assert index.schema.field(field.name).equals(field)
        assert index[field.name].to_pylist() == [row[field.name] for row in whole]
    lines = (dataset / "README.md").read_text().splitlines()
    assert "| `brightness` | float | added by a stage of another package |" in lines


def test_inspect_shows_them(dataset: Path) -> None:
    sample = find_sample(dataset, "00001-00002")
    text = describe(sample)
    assert f"brightness       {sample.row['brightness']:.4g}" in text.splitlines()
    assert "thumbnail        2 bytes" in text.splitlines()
    assert sample.record is not None
    assert list(sample.record["extra"]) == ["brightness"]


def forge(dataset: Path, change: tuple[bytes, bytes]) -> None:
    path, (old, new) = dataset / "data/train/00001.tar", change
    content = path.read_bytes()
    assert len(old) == len(new)
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    vouch(dataset, 1)


def test_a_forged_value_is_found(dataset: Path) -> None:
    record = find_sample(dataset, "00001-00000").record
    assert record is not None
    value = json.dumps(record["extra"]["brightness"]).encode()
    forge(dataset, (b'"brightness":' + value, b'"brightness":' + b"9" + value[1:]))
    problems = check(dataset).problems
    assert {(problem.shard, problem.key) for problem in problems} == {("train/00001", "00001-00000")}
    assert about(check(dataset), "extra.brightness is", "in the json")


def test_a_forged_name_is_found(dataset: Path) -> None:
    forge(dataset, (b'"extra":{"brightness"', b'"extra":{"brightnass"'))
    assert about(check(dataset), "00001-00000", "extra has other fields")


def test_a_forged_field_is_found(tmp_path: Path) -> None:
    root = write_tables(tmp_path, [shard_table(number, rows=2) for number in range(2)])
    forge(root, (b'"extra":null', b'"extra":true'))
    assert about(check(root), "00001-00000", "no column of the parquet")


OTHERS = {
    "another type": lambda table: table.set_column(
        table.column_names.index("brightness"), "brightness", table["brightness"].cast(pa.float64())
    ),
    "one more": lambda table: table.append_column("contrast", pa.array([0.5] * ROWS)),
    "one less": lambda table: table.drop_columns(["brightness"]),
    "another order": lambda table: table.drop_columns(["brightness"]).append_column(
        BRIGHTNESS, table["brightness"]
    ),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("odd", [0, 2])
def test_a_shard_with_other_columns_is_the_odd_one(tmp_path: Path, other: str, odd: int) -> None:
    tables = [OTHERS[other](shard(number)) if number == odd else shard(number) for number in range(3)]
    root = write_tables(tmp_path, tables)
    problems = [problem for problem in check(root).problems if problem.shard]
    assert [problem.shard for problem in problems] == [f"train/0000{odd}"]
    assert "extra columns" in problems[0].what
    with pytest.raises(UserError, match="other columns than the shards before it"):
        finish_dataset(root)


@pytest.mark.parametrize("name", ["image", "detections", "seconds_read"])
def test_columns_that_are_never_stored_are_refused(tmp_path: Path, name: str) -> None:
    root = write_tables(tmp_path, [shard_table(0, rows=2)])
    path = root / "data/train/00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column(name, pa.array([1.0, 2.0])), path)
    vouch(root, 0)
    assert about(check(root), "train/00000", "other columns than schema version")
