# SPDX-License-Identifier: Apache-2.0
"""Tars and parquet files that lie about themselves: what is sound in them is kept, and nothing runs away."""

import datetime
import io
import json
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.sources import open_source
from pipeline.sources.metadata import parsed
from pipeline.sources.tar_index import index_tar

EVERY_BYTE_OF_A_FOOTER = """
import sys, pathlib
from pipeline.errors import UserError
from pipeline.sources import open_source
path = pathlib.Path(sys.argv[1])
sound = path.read_bytes()
size = int.from_bytes(sound[-8:-4], "little")
for place in range(len(sound) - size - 8, len(sound) - 8):
    for change in (1, 2, 0x10, 0xFF):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ change]) + sound[place + 1 :])
        try:
            source = open_source(str(path))
            source.fetch(source.listing())
        except UserError:
            pass
"""


def header(name: str, size: int = 3, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A member's header; a size below zero or above 8 GB is in base 256."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name: str) -> bytes:
    return header(name) + b"abc".ljust(512, b"\0")


def rows(folder):
    source = open_source(str(folder))
    return source.fetch(source.listing()).to_pylist()


@pytest.mark.parametrize("size", [-1, -512, -1024, -(1 << 40)])
@pytest.mark.parametrize(
    "kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE]
)
def test_a_size_below_zero_does_not_lead_round_in_circles(tmp_path, size, kind):
    (tmp_path / "0.tar").write_bytes(member("a.jpg") + header("b.jpg", size, kind) + bytes(1024))
    found = {row["source_key"]: (row["status"], row["reason"]) for row in rows(tmp_path)}
    assert found["0.tar/a"] == ("ok", None)
    assert found["0.tar/!broken"] == ("error", "broken_tar")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
@pytest.mark.parametrize("size", [1 << 40, 1 << 62])
def test_a_name_of_any_length_gets_no_room_for_it(kind, size):
    class Asked(io.BytesIO):
        most = 0

        def read(self, count=-1):
            self.most = max(self.most, count)
            return super().read(count)

    data = member("a.jpg") + header("b", size, kind) + bytes(1024)
    file = Asked(data)
    index = index_tar(file, len(data))
    assert [key for key, _ in index.samples] == ["a"]
    assert index.broken
    assert file.most <= 1 << 24


def test_headers_upon_headers_do_not_take_the_samples_before_them_along(tmp_path):
    extended = header("x", 0, tarfile.XHDTYPE)
    (tmp_path / "0.tar").write_bytes(member("a.jpg") + extended * 3000 + member("b.jpg") + bytes(1024))
    found = {row["source_key"]: row["source_bytes"] for row in rows(tmp_path)}
    assert found == {"0.tar/!broken": None, "0.tar/a": b"abc"}


def test_a_sparse_file_is_no_picture_and_spares_what_follows(tmp_path):
    sparse = bytearray(header("s.jpg", 512, tarfile.GNUTYPE_SPARSE))
    sparse[386:410] = b"%011o\0%011o\0" % (1 << 20, 512)  # where its only piece belongs
    sparse[483:495] = b"%011o\0" % ((1 << 20) + 512)  # its size with all its holes
    sparse[148:156] = b" " * 8
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    (tmp_path / "0.tar").write_bytes(bytes(sparse) + bytes(512) + member("t.jpg") + bytes(1024))
    found = {row["source_key"]: (row["reason"], row["source_bytes"]) for row in rows(tmp_path)}
    assert found == {"0.tar/s": ("no_image", None), "0.tar/t": (None, b"abc")}


def test_metadata_too_deep_to_be_written_again_stays_text():
    deep = '{"score": NaN, "x": ' + "[" * 990 + "]" * 990 + "}"
    text, _ = parsed(deep)
    assert isinstance(json.loads(text, parse_constant=pytest.fail), dict | str)


@pytest.mark.parametrize(
    "odd",
    [
        pa.array([2**31 - 1, 31], pa.date32()),
        pa.array([2**60, 31], pa.timestamp("us")),
        pa.array([1, 31], pa.timestamp("us", tz="Nowhere/Land")),
        pa.array([b"\xff", b"fine"], pa.binary()).view(pa.string()),
    ],
    ids=["day", "moment", "zone", "text"],
)
def test_one_value_that_python_cannot_hold_costs_no_picture(tmp_path, odd):
    pq.write_table(pa.table({"image": [b"x", b"y"], "odd": odd, "n": [1, 2]}), tmp_path / "0.parquet")
    found = rows(tmp_path)
    assert [(row["status"], row["source_bytes"]) for row in found] == [("ok", b"x"), ("ok", b"y")]
    assert [json.loads(row["source_meta"])["n"] for row in found] == [1, 2]


def test_values_beside_one_that_python_cannot_hold_are_as_ever(tmp_path):
    days = pa.array([2**31 - 1, 31], pa.date32())
    pq.write_table(pa.table({"image": [b"x", b"y"], "day": days}), tmp_path / "0.parquet")
    assert json.loads(rows(tmp_path)[1]["source_meta"])["day"] == str(datetime.date(1970, 2, 1))


def test_two_columns_of_pictures_with_one_name_are_one_line(tmp_path):
    columns = [pa.array([b"x"]), pa.array([b"y"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["image", "image"]), tmp_path / "0.parquet")
    with pytest.raises(UserError, match=r"no image of bytes among image .*, image ") as caught:
        rows(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_footer_that_counts_other_rows_than_its_row_groups_is_broken(tmp_path):
    path = tmp_path / "0.parquet"
    pq.write_table(pa.table({"image": [b"x"] * 50}), path, row_group_size=40)
    data = bytearray(path.read_bytes())
    # The whole file's count is the only i64 (16) of 50 in thrift's zigzag.
    place = data.index(b"\x16" + bytes([100]), len(data) - int.from_bytes(data[-8:-4], "little") - 8)
    data[place + 1] = 98
    path.write_bytes(data)
    assert pq.read_metadata(path).num_rows == 49
    assert [(row["source_key"], row["reason"]) for row in rows(tmp_path)] == [
        ("0.parquet/!broken", "broken_parquet")
    ]


def test_no_byte_of_a_footer_ends_the_process(tmp_path):
    """Some of pyarrow's calls let exceptions of C++ through, which nothing in Python can catch."""
    pq.write_table(pa.table({"image": [b"x", b"y"]}), tmp_path / "0.parquet", store_schema=False)
    command = [sys.executable, "-c", EVERY_BYTE_OF_A_FOOTER, str(tmp_path / "0.parquet")]
    assert subprocess.run(command, capture_output=True, text=True, timeout=300).returncode == 0
