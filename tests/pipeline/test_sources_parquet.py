# SPDX-License-Identifier: Apache-2.0
"""Parquet files with a column of pictures."""

import datetime
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline.errors import UserError
from pipeline.sources import LISTING, open_source
from pipeline.sources.fetch import FETCHED
from pipeline.sources.location import Location
from pipeline.sources.parquet import ParquetSource


def put(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    """Write a parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def rows(location: Path, **options: str) -> list[dict[str, Any]]:
    """Everything in a source."""
    source = open_source(str(location), **options)
    table = source.fetch(source.listing())
    assert table.schema.equals(FETCHED)
    return table.to_pylist()


@pytest.mark.parametrize("name", ["image", "jpg", "bytes", "image_bytes", "image.bytes"])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_usual_columns_are_found(tmp_path: Path, name: str, kind: pa.DataType) -> None:
    put(tmp_path / "d" / "0.parquet", {"id": [1, 2], name: pa.array([b"one", b"two"], kind)})
    found = rows(tmp_path)
    assert [row["source_key"] for row in found] == ["d/0.parquet/000000000", "d/0.parquet/000000001"]
    assert [row["source_bytes"] for row in found] == [b"one", b"two"]
    assert [row["source_meta"] for row in found] == ['{"id": 1}', '{"id": 2}']
    assert found[0]["source_uri"] == (tmp_path / "d" / "0.parquet").as_uri()


@pytest.mark.parametrize("column", [None, "image", "image.bytes"])
def test_hugging_face_structs(tmp_path: Path, column: str | None) -> None:
    images = [{"bytes": b"one", "path": "1.png"}, {"bytes": None, "path": "2.png"}, None]
    put(tmp_path / "0.parquet", {"image": images, "label": [0, 1, 2]})
    found = rows(tmp_path / "0.parquet", **({"image_column": column} if column else {}))
    assert [row["source_bytes"] for row in found] == [b"one", None, None]
    assert [(row["status"], row["reason"]) for row in found] == [
        ("ok", None),
        *[("rejected", "no_image")] * 2,
    ]
    assert json.loads(found[0]["source_meta"]) == {"label": 0, "path": "1.png"}


def test_scalars_become_metadata_that_any_parser_reads(tmp_path: Path) -> None:
    columns = {
        "photo": [b"x"],
        "url": ["https://example.org/1"],
        "text": ["a cat"],
        "score": [float("nan")],
        "day": [datetime.date(2024, 2, 3)],
        "name": pa.array(["ü"]).dictionary_encode(),
        "thumbnail": [b"\xff"],
        "tags": [["a"]],
    }
    row = rows(put(tmp_path / "0.parquet", columns), image_column="photo")[0]
    assert (row["url"], row["alt_text"]) == ("https://example.org/1", "a cat")
    meta = json.loads(row["source_meta"], parse_constant=pytest.fail)
    assert meta == {"url": row["url"], "text": "a cat", "score": None, "day": "2024-02-03", "name": "ü"}


def test_a_picture_alone_has_no_metadata(tmp_path: Path) -> None:
    assert rows(put(tmp_path / "0.parquet", {"image": [b"x"]}))[0]["source_meta"] is None


@pytest.mark.parametrize("row_group_size", [1, 7, 100, 1000])
def test_any_rows_in_any_order(tmp_path: Path, row_group_size: int) -> None:
    for name in ("a", "b"):
        images = [f"{name}{number}".encode() for number in range(100)]
        put(tmp_path / f"{name}.parquet", {"image": images}, row_group_size=row_group_size)
    source = pickle.loads(pickle.dumps(open_source(str(tmp_path))))  # noqa: S301
    listing = source.listing()
    assert listing.num_rows == 200
    assert listing.schema.equals(LISTING)
    part = listing.take([199, 3, 100, 3, 42, 41, 0, 99])
    wanted = [b"b99", b"a3", b"b0", b"a3", b"a42", b"a41", b"a0", b"a99"]
    assert source.fetch(part)["source_bytes"].to_pylist() == wanted
    assert source.fetch(part.slice(0, 0)).num_rows == 0
    alone = [source.fetch(listing.slice(row, 1))["source_bytes"][0].as_py() for row in range(100)]
    assert alone == [f"a{row}".encode() for row in range(100)]


def test_only_the_wanted_row_groups_are_read(tmp_path: Path) -> None:
    path = put(tmp_path / "0.parquet", {"image": [b"x" * 5000, b"y" * 5000, b"z" * 5000]}, row_group_size=1)
    source = open_source(str(tmp_path))
    listing = source.listing()
    damaged = bytearray(path.read_bytes())
    first = pq.read_metadata(path).row_group(0).column(0)
    start, size = first.dictionary_page_offset or first.data_page_offset, first.total_compressed_size
    damaged[start : start + size] = bytes(size)
    path.write_bytes(damaged)
    assert source.fetch(listing.slice(1))["source_bytes"].to_pylist() == [b"y" * 5000, b"z" * 5000]
    everything = source.fetch(listing)
    assert everything["status"].to_pylist()[0] == "error"
    assert everything["reason"].to_pylist()[0] == "unreadable"


def test_a_missing_column_is_one_line_that_names_those_there(tmp_path: Path) -> None:
    put(tmp_path / "0.parquet", {"image": ["a/path.jpg"], "label": [1]})
    with pytest.raises(
        UserError, match=r"0\.parquet.*no image of bytes among image \(string\), label"
    ) as caught:
        open_source(str(tmp_path)).listing()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no column 'photo' of bytes"):
        open_source(str(tmp_path), image_column="photo").listing()


def test_a_broken_file_is_one_row_and_spares_the_others(tmp_path: Path) -> None:
    good = put(tmp_path / "1.parquet", {"image": [b"x"]}).read_bytes()
    (tmp_path / "0.parquet").write_bytes(good[:-20])
    (tmp_path / "2.parquet").write_bytes(b"")
    found = {row["source_key"]: (row["status"], row["stage"], row["reason"]) for row in rows(tmp_path)}
    broken = ("error", "read", "broken_parquet")
    wanted = {
        "0.parquet/!broken": broken,
        "1.parquet/000000000": ("ok", None, None),
        "2.parquet/!broken": broken,
    }
    assert found == wanted


def test_files_that_vanish_or_shrink_after_listing_give_error_rows(tmp_path: Path) -> None:
    for name in ("0", "1"):
        put(tmp_path / f"{name}.parquet", {"image": [b"x", b"y"]})
    source = open_source(str(tmp_path))
    listing = source.listing()
    (tmp_path / "0.parquet").unlink()
    put(tmp_path / "1.parquet", {"image": [b"x"]})
    assert source.fetch(listing)["reason"].to_pylist() == ["unreadable", "unreadable", None, "unreadable"]


def test_other_filesystems_give_the_same(tmp_path: Path) -> None:
    put(tmp_path / "s" / "0.parquet", {"image": [b"x", b"y"], "text": ["a", "b"]})
    source = open_source(str(tmp_path))
    below = Location(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "", tmp_path.as_uri())
    remote = ParquetSource(below)
    assert remote.fetch(remote.listing()).equals(source.fetch(source.listing()))
