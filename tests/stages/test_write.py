# SPDX-License-Identifier: Apache-2.0
import hashlib
import io
import json
import math
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stages.columns import BACKOFF, OFFSETS, SAMPLE, SECONDS
from stages.shard.label_map import encode_png, label_map
from stages.shard.record import json_value
from stages.write import RECEIPT, Write, WriteError
from tests.shards import shard_table

EXTENSIONS = ["jpg", "json", "png", "txt"]


def write(root: Path, table: pa.Table) -> dict[str, Any]:
    return Write(folder=str(root)).setup()(table).to_pylist()[0]


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "data" / "train").iterdir())}


def changed(table: pa.Table, **columns: Any) -> pa.Table:
    """The table with other values in its first row."""
    rows = table.to_pylist()
    return pa.Table.from_pylist([rows[0] | columns, *rows[1:]], table.schema)


def records(root: Path) -> list[dict[str, Any]]:
    with tarfile.open(root / "data" / "train" / "00003.tar") as tar:
        members = [tar.extractfile(name) for name in tar.getnames() if name.endswith(".json")]
        return [json.loads(member.read()) for member in members if member]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return shard_table(3, rows=8)


@pytest.fixture(scope="module")
def written(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written")
    write(root, table)
    return root


def test_same_rows_give_the_same_bytes(table: pa.Table, written: Path, tmp_path: Path) -> None:
    slower = pa.array(range(table.num_rows), pa.float64())
    place = table.column_names.index("seconds_read")
    other = table.set_column(place, "seconds_read", slower).take(pa.array([5, 0, 7, 1, 6, 2, 4, 3]))
    write(tmp_path, pa.concat_tables([other.slice(0, 3), other.slice(3)]))
    assert contents(tmp_path) == contents(written)
    assert sorted(contents(written)) == ["00003.parquet", "00003.tar", "00003_stats.json"]


def test_tar_says_nothing_about_its_writer(written: Path) -> None:
    with tarfile.open(written / "data" / "train" / "00003.tar", "r:") as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
            (0, 0, 0, "", "", 0o644)
        }
        assert not tar.pax_headers
    names = [member.name for member in members]
    assert names == sorted(names)
    keys = [name.split(".") for name in names]
    assert [extension for _, extension in keys] == EXTENSIONS * (len(names) // 4)


def test_parquet_has_every_row_and_where_its_members_are(table: pa.Table, written: Path) -> None:
    found = pq.read_table(written / "data" / "train" / "00003.parquet")
    assert found.schema.equals(SAMPLE)
    for name in set(SAMPLE.names) - set(OFFSETS.names):
        assert found[name].to_pylist() == table[name].to_pylist(), name
    tar = (written / "data" / "train" / "00003.tar").read_bytes()
    ok = 0
    for row, image in zip(found.to_pylist(), table["image"].to_pylist(), strict=True):
        places = [row[name] for name in OFFSETS.names]
        if row["status"] != "ok":
            assert places == [None] * 8
            continue
        ok += 1
        jpg, record, png, txt = (
            tar[row[f"{e}_offset"] : row[f"{e}_offset"] + row[f"{e}_size"]] for e in EXTENSIONS
        )
        assert jpg == image
        assert json.loads(record)["key"] == row["key"]
        assert Image.open(io.BytesIO(png)).mode == "L"
        assert txt.decode() == (row["alt_text"] or row["caption"])
    assert ok == 5


def test_every_record_has_the_same_fields_of_the_same_types(written: Path) -> None:
    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value)

    shapes = [shape(record | {"mask": record["mask"][1:]}) for record in records(written)]
    assert len(shapes) == 5
    assert all(other == shapes[0] for other in shapes)
    assert shapes[0]["url"] is str
    assert shapes[0]["entities"][0]["box"] == [float]
    assert shapes[0]["entities"][0]["rle"] == {"size": [int], "counts": str}


def test_record_has_the_official_loaders_list(written: Path) -> None:
    for record in records(written):
        background, *entries = record["mask"]
        assert background == {"value": 0, "label": "background"}
        assert len(entries) == len(record["entities"]) > 0
        for place, (entry, entity) in enumerate(zip(entries, record["entities"], strict=True), 1):
            expected = {"value": place, "label": entity["lemma"], "logit": entity["det_score"]}
            assert entry == expected | {"box": entity["box"]}


def test_receipt_and_stats_count_the_same(table: pa.Table, tmp_path: Path) -> None:
    receipt = write(tmp_path, table)
    stats = json.loads((tmp_path / "data" / "train" / "00003_stats.json").read_text())
    tar, parquet = (contents(tmp_path)[f"00003.{name}"] for name in ("tar", "parquet"))
    assert receipt["written"]
    assert (receipt["rows"], receipt["samples"], receipt["rejected"], receipt["errors"]) == (8, 5, 2, 1)
    assert receipt["tar_sha256"] == hashlib.sha256(tar).hexdigest()
    assert (receipt["tar_bytes"], receipt["parquet_bytes"]) == (len(tar), len(parquet))
    assert stats["reasons"] == {"filter_image": {"too_small": 2}, "read": {"OSError": 1}}
    assert stats["status_dict"] == {"success": 5, "filter_image: too_small": 2, "read: OSError": 1}
    assert stats["instances"] == sum(stats["labels"].values()) == receipt["instances"] > 5


def test_committed_shard_is_left_alone(table: pa.Table, tmp_path: Path) -> None:
    first = write(tmp_path, table)
    before = {path: path.stat() for path in (tmp_path / "data" / "train").iterdir()}
    again = write(tmp_path, changed(table, caption="something else"))
    assert again == first | {"written": False}
    assert {path: path.stat() for path in (tmp_path / "data" / "train").iterdir()} == before


def test_seconds_are_kept_beside_the_data(table: pa.Table, written: Path) -> None:
    timing = json.loads((written / "_meta" / "timings" / "00003.json").read_text())
    assert timing["rows"] == 8
    assert timing["images"] == {"read": 8, "caption": 8, "write": 8}
    assert timing["seconds"]["read"] == 2.0
    assert timing["seconds"]["caption"] == 4.0
    assert set(timing["seconds"]) == {"read", "caption", "write"}
    assert not [name for name in SAMPLE.names if name.startswith(SECONDS)]


def test_where_memory_ran_out_is_told_and_logged_but_not_in_the_data(
    table: pa.Table, written: Path, tmp_path: Path
) -> None:
    assert write(tmp_path / "enough", table)["backoff"] is None
    log = json.loads((tmp_path / "enough" / "_meta" / "timings" / "00003.json").read_text())
    assert log["backoff"] == {}
    for stage, size in (("caption", 8), ("my_package.module:Mine", 1)):
        sizes = pa.array([size] * table.num_rows, pa.int32())
        table = table.append_column(BACKOFF + stage, sizes)
    told = json.loads(write(tmp_path / "short", table)["backoff"])
    log = json.loads((tmp_path / "short" / "_meta" / "timings" / "00003.json").read_text())
    assert log["backoff"] == told == {"caption": 8, "my_package.module:Mine": 1}
    assert set(log["seconds"]) == {"read", "caption", "write"}
    assert contents(tmp_path / "short") == contents(written)


def first_entity(table: pa.Table, **values: Any) -> list[dict[str, Any]]:
    first, *others = table["entities"][0].as_py()
    return [first | values, *others]


BROKEN = {
    "no image": lambda table: {"image": None},
    "no mask": lambda table: {"entities": first_entity(table, rle=None)},
    "mask of another size": lambda table: {
        "entities": first_entity(table, rle={"size": [1, 1], "counts": "1"})
    },
    "not a number": lambda table: {"entities": first_entity(table, det_score=math.nan)},
    "infinite": lambda table: {"white_fraction": math.inf},
    "wrong id": lambda table: {"entities": first_entity(table, id=7)},
    "too many": lambda table: {"entities": [first_entity(table)[0] | {"id": i} for i in range(1, 257)]},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_encoded_becomes_an_error_row(table: pa.Table, tmp_path: Path, broken: str) -> None:
    receipt = write(tmp_path, changed(table, **BROKEN[broken](table)))
    assert (receipt["rows"], receipt["samples"], receipt["errors"]) == (8, 4, 2)
    row = pq.read_table(tmp_path / "data" / "train" / "00003.parquet").to_pylist()[0]
    assert (row["status"], row["stage"], row["reason"]) == ("error", "write", "ValueError")
    assert row["detail"]
    assert row["jpg_offset"] is None
    assert records(tmp_path)[0]["key"] == "00003-00001"


def test_shard_without_a_sample_has_only_what_its_rows_had(tmp_path: Path) -> None:
    rows = [
        {"key": f"00003-0000{i}", "source_key": f"{i}.jpg", "source_uri": "file:///x", "status": "rejected"}
        | {"stage": "read", "reason": "not_an_image"}
        for i in range(3)
    ]
    receipt = write(tmp_path, pa.Table.from_pylist(rows))
    assert (receipt["rows"], receipt["samples"], receipt["rejected"]) == (3, 0, 3)
    with tarfile.open(tmp_path / "data" / "train" / "00003.tar") as tar:
        assert tar.getnames() == []
    assert pq.read_table(tmp_path / "data" / "train" / "00003.parquet").schema.equals(SAMPLE)


def test_nothing_in_nothing_out(table: pa.Table, tmp_path: Path) -> None:
    receipts = Write(folder=str(tmp_path)).setup()(table.slice(0, 0))
    assert receipts.schema.equals(RECEIPT)
    assert receipts.num_rows == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "rows",
    [[0, 1, 3], [1, 2, 3], [0, 1, 1, 2]],
    ids=["one is missing", "does not begin at the beginning", "one is there twice"],
)
def test_rows_that_are_not_one_shard_are_refused(table: pa.Table, tmp_path: Path, rows: list[int]) -> None:
    with pytest.raises(ValueError, match="not one whole shard"):
        write(tmp_path, table.take(pa.array(rows)))
    assert list(tmp_path.iterdir()) == []


def test_rows_of_two_shards_are_refused(table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not one whole shard"):
        write(tmp_path, pa.concat_tables([table, shard_table(4, rows=2)]))


@pytest.mark.parametrize("key", ["a.b", "1-2", "00003/00001", "00003-00001.x", ""])
def test_keys_that_readers_would_cut_are_refused(table: pa.Table, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a sample's key"):
        write(tmp_path, changed(table, key=key))


def test_the_best_is_on_top_in_the_label_map(table: pa.Table) -> None:
    row = next(row for row in table.to_pylist() if len(row["entities"] or []) > 1)
    whole = {"size": [row["height"], row["width"]], "counts": row["entities"][0]["rle"]["counts"]}
    entities = [{"id": number, "rle": whole} for number in (1, 2, 3)]
    labels = label_map(entities, row["width"], row["height"])
    assert set(np.unique(labels)) == {0, 1}
    assert (np.asarray(Image.open(io.BytesIO(encode_png(labels)))) == labels).all()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_survive_json_to_the_last_bit(value: float) -> None:
    text = json.dumps(json_value(value, pa.float32()))
    assert np.float32(json.loads(text)).tobytes() == np.float32(value).tobytes()
    assert len(text) <= 24


def test_a_place_that_takes_no_files_is_one_line(table: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(WriteError) as caught:
        write(tmp_path, table)
    line = str(pickle.loads(pickle.dumps(caught.value)))  # noqa: S301
    assert line.startswith(f"cannot write shard 00003 to {tmp_path}/data/train: ")
    assert "\n" not in line
    assert "run the same command again" in line


def test_a_shard_outlives_its_timing(table: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "_meta").mkdir()
    (tmp_path / "_meta" / "timings").write_text("in the way")
    assert write(tmp_path, table)["written"]
    assert (tmp_path / "data" / "train" / "00003_stats.json").exists()
