# SPDX-License-Identifier: Apache-2.0
"""Columns that stages of other packages add are kept: in the parquet as they are, in the json as it can."""

import json
import math
import struct
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.columns import ENTITY, RAW, SAMPLE, SCHEMA_VERSION
from stages.extra_columns import extra_columns, json_columns
from stages.filter_image import FilterImage
from stages.shard.record import json_value
from stages.write import Write
from tests.pipeline.my_stage import Brightness
from tests.shards import shard_table

ROWS = 6
IN_JSON = pa.schema(
    [
        pa.field("aesthetic", pa.float64()),
        pa.field("brightness", pa.float32()),
        pa.field("votes", pa.uint64()),
        pa.field("indoors", pa.bool_()),
        pa.field("camera", pa.large_string()),
        pa.field("palette", pa.list_(pa.list_(pa.int32()))),
        pa.field("embedding", pa.list_(pa.float16(), 3)),
        pa.field("place", pa.struct([pa.field("country", pa.string()), pa.field("height", pa.float64())])),
    ]
)
ONLY_IN_PARQUET = pa.schema(
    [
        pa.field("thumbnail", pa.binary()),
        pa.field("taken", pa.timestamp("us", tz="UTC")),
        pa.field("species", pa.dictionary(pa.int8(), pa.string())),
        pa.field("crops", pa.list_(pa.struct([pa.field("jpg", pa.binary())]))),
    ]
)
VALUES: dict[str, Any] = {
    "aesthetic": 0.1 + 0.2,
    "brightness": 0.1,
    "votes": 2**64 - 1,
    "indoors": True,
    "camera": "Ähre ☀",
    "palette": [[1, 2], []],
    "embedding": [0.5, -1.25, 3.0],
    "place": {"country": "CH", "height": 4478.25},
    "thumbnail": b"\x00\xff",
    "taken": datetime.fromisoformat("2024-02-29T12:00:00.000001+00:00"),
    "species": "cat",
    "crops": [{"jpg": b"\xff"}],
}


def with_extra(table: pa.Table, fields: pa.Schema) -> pa.Table:
    """Every field in every other row, null in the others, as after a stage that some rows never saw."""
    for field in fields:
        values = [VALUES[field.name] if row % 2 == 0 else None for row in range(table.num_rows)]
        table = table.append_column(field, pa.array(values, field.type))
    return table


def write(root: Path, table: pa.Table) -> pa.Table:
    Write(folder=str(root)).setup()(table)
    return pq.read_table(root / "data" / "train" / "00003.parquet")


def records(root: Path) -> dict[str, dict[str, Any]]:
    with tarfile.open(root / "data" / "train" / "00003.tar") as tar:
        members = [tar.extractfile(name) for name in tar.getnames() if name.endswith(".json")]
        found = [json.loads(member.read()) for member in members if member]
    return {record["key"]: record for record in found}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return shard_table(3, rows=ROWS)


@pytest.fixture(scope="module")
def wide(table: pa.Table) -> pa.Table:
    return with_extra(table, pa.schema([*IN_JSON, *ONLY_IN_PARQUET]))


def test_the_parquet_has_them_last_with_their_types_and_values(wide: pa.Table, tmp_path: Path) -> None:
    found = write(tmp_path, wide)
    assert found.schema.equals(pa.schema([*SAMPLE, *IN_JSON, *ONLY_IN_PARQUET]))
    assert found.schema.metadata[b"subjectforge.schema_version"] == str(SCHEMA_VERSION).encode()
    for name in VALUES:
        assert found[name].to_pylist() == wide[name].to_pylist(), name


def test_the_json_has_those_that_json_can_hold(wide: pa.Table, tmp_path: Path) -> None:
    rows = {row["key"]: row for row in write(tmp_path, wide).to_pylist()}
    found = records(tmp_path)
    unknown = {
        **{"aesthetic": -1.0, "brightness": -1.0, "votes": -1, "indoors": False, "camera": ""},
        **{"palette": [], "embedding": [], "place": {"country": "", "height": -1.0}},
    }
    assert {rows[key]["votes"] for key in found} == {VALUES["votes"], None}
    for key, record in found.items():
        known = {name: VALUES[name] for name in IN_JSON.names}
        assert record["extra"] == (unknown if rows[key]["votes"] is None else known)


def test_all_records_have_the_same_fields(wide: pa.Table, table: pa.Table, tmp_path: Path) -> None:
    write(tmp_path / "wide", wide)
    write(tmp_path / "plain", table)
    write(tmp_path / "bytes", with_extra(table, ONLY_IN_PARQUET))
    assert {tuple(record["extra"]) for record in records(tmp_path / "wide").values()} == {
        tuple(IN_JSON.names)
    }
    for root in (tmp_path / "plain", tmp_path / "bytes"):
        assert {record["extra"] for record in records(root).values()} == {None}


def test_how_the_table_is_cut_and_ordered_does_not_show(wide: pa.Table, tmp_path: Path) -> None:
    shuffled = wide.take(pa.array([4, 1, 5, 0, 3, 2]))
    pieces = pa.concat_tables([shuffled.slice(0, 1), shuffled.slice(1, 3), shuffled.slice(4)])
    write(tmp_path / "whole", wide)
    write(tmp_path / "pieces", pieces)
    for name in ("00003.tar", "00003.parquet", "00003_stats.json"):
        whole, other = (tmp_path / root / "data" / "train" / name for root in ("whole", "pieces"))
        assert whole.read_bytes() == other.read_bytes()


def test_a_stage_of_another_package_is_kept_through_the_stages_after_it(tmp_path: Path) -> None:
    table = shard_table(3, rows=ROWS)
    judged = Brightness(darkest=0.0).setup()(table)
    found = write(tmp_path, FilterImage(min_side=0, max_white=1.0).setup()(judged))
    assert found.schema.equals(pa.schema([*SAMPLE, pa.field("brightness", pa.float32())]))
    seen = {row["key"]: row["brightness"] for row in found.to_pylist() if row["brightness"] is not None}
    assert list(seen) == [row["key"] for row in table.to_pylist() if row["status"] == "ok"]
    for key, record in records(tmp_path).items():
        assert seen.pop(key) == np.float32(record["extra"]["brightness"]) > 0
    assert not seen


def test_a_number_that_json_cannot_hold_costs_its_own_row_only(table: pa.Table, tmp_path: Path) -> None:
    values = pa.array([math.nan, 1.0, 2.0, None, None, 5.0])
    found = write(tmp_path, table.append_column("aesthetic", values)).to_pylist()
    assert (found[0]["status"], found[0]["stage"], found[0]["reason"]) == ("error", "write", "ValueError")
    assert math.isnan(found[0]["aesthetic"])
    assert [row["key"] for row in found if row["status"] == "ok"] == list(records(tmp_path))


def test_what_stages_hand_on_is_not_extra() -> None:
    handed = [*SAMPLE, *RAW, pa.field("image", pa.large_binary()), pa.field("detections", pa.list_(ENTITY))]
    names = {field.name: field for field in handed}
    schema = pa.schema([*names.values(), pa.field("seconds_read", pa.float64())])
    schema = schema.append(pa.field("backoff_caption", pa.int32()))
    assert len(extra_columns(schema)) == 0
    own = pa.field("own", pa.int8(), nullable=False, metadata={"a": "b"})
    found = extra_columns(schema.insert(2, own))
    assert found.equals(pa.schema([pa.field("own", pa.int8())]), check_metadata=True)


def test_what_json_cannot_hold_is_left_out() -> None:
    both = pa.schema([*IN_JSON, *ONLY_IN_PARQUET, pa.field("nothing", pa.null())])
    assert json_columns(both).equals(IN_JSON)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_survive_json_to_the_last_bit(value: float) -> None:
    found = json.loads(json.dumps(json_value(value, pa.float64())))
    assert struct.pack("d", found) == struct.pack("d", value)
