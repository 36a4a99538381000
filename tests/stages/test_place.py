# SPDX-License-Identifier: Apache-2.0
"""Paths in an object store behave as pathlib's do: on a folder, and on an S3 server."""

import multiprocessing
import operator
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from stages.shard.commit import replace
from stages.shard.files import ShardFiles
from stages.shard.place import address, below, file_sizes, in_order, open_parquet, place
from stages.shard.remote_path import RemotePath


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> RemotePath:
    if request.param == "folder":
        # Arrow makes no folders there by itself; an object store needs none.
        (tmp_path / "set" / "a b" / "c").mkdir(parents=True)
        return RemotePath(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "set")
    found = place(request.getfixturevalue("bucket")("set"))
    assert isinstance(found, RemotePath)
    return found


def test_what_was_written_is_read(root: RemotePath) -> None:
    path = root / "a b" / "c" / "ä.txt"
    assert not path.exists()
    replace(path, "Grüße".encode())
    assert path.exists()
    assert path.is_file()
    assert not path.is_dir()
    assert path.read_text() == "Grüße"
    assert path.stat().st_size == len(path.read_bytes()) == 7
    with path.open("rb") as stream:
        stream.seek(2)
        assert stream.read(3) == "üß".encode()[:3]
    replace(path, b"")
    assert path.read_bytes() == b""


def test_folders_are_what_has_something_below(root: RemotePath) -> None:
    replace(root / "a b" / "c" / "1.txt", b"1")
    replace(root / "a b" / "c" / "2.json", b"22")
    replace(root / "a b" / "3.json", b"333")
    assert [root.is_dir(), (root / "a b").is_dir(), (root / "a b" / "c").exists()] == [True] * 3
    assert sorted((root / "a b").iterdir()) == [root / "a b" / "3.json", root / "a b" / "c"]
    assert [str(path.relative_to(root)) for path in root.glob("*/*.json")] == ["a b/3.json"]
    assert sorted(path.name for path in root.glob("a b/c/[12].*")) == ["1.txt", "2.json"]
    assert file_sizes(root / "a b") == {"3.json": 3}
    assert file_sizes(root / "a b" / "c") == {"1.txt": 1, "2.json": 2}


def test_what_is_missing_is_missing(root: RemotePath) -> None:
    missing = root / "missing"
    assert [missing.exists(), missing.is_file(), missing.is_dir()] == [False] * 3
    assert list(missing.iterdir()) == list(missing.glob("*/x")) == []
    assert file_sizes(missing) == {}
    for use in (missing.read_bytes, missing.read_text, missing.open, missing.stat, missing.unlink):
        with pytest.raises(FileNotFoundError):
            use()
    missing.unlink(missing_ok=True)


def test_what_is_deleted_is_gone(root: RemotePath) -> None:
    replace(root / "a b" / "1", b"x")
    replace(root / "a b" / "2", b"x")
    (root / "a b" / "1").unlink()
    assert [path.name for path in (root / "a b").iterdir() if path.is_file()] == ["2"]


def test_parquet_is_read_where_it_is(root: RemotePath, tmp_path: Path) -> None:
    table = pa.table({"a": range(1000), "b": ["x"] * 1000})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100)
    replace(root / "t.parquet", (tmp_path / "t.parquet").read_bytes())
    for path in (root / "t.parquet", tmp_path / "t.parquet"):
        with open_parquet(path) as file:
            assert file.num_row_groups == 10
            assert file.read_row_group(3, columns=["a"])["a"].to_pylist() == list(range(300, 400))
            assert file.read().equals(table)
    with pytest.raises(FileNotFoundError):
        open_parquet(root / "missing.parquet")


def test_small_files_are_read_in_order(root: RemotePath) -> None:
    paths = [root / f"{number:03d}" for number in range(40)]
    for path in paths:
        replace(path, path.name.encode())
    assert list(in_order(root, RemotePath.read_text, paths)) == [path.name for path in paths]
    assert list(in_order(root, RemotePath.read_text, iter(()))) == []
    with pytest.raises(FileNotFoundError):
        list(in_order(root, RemotePath.read_text, [*paths, root / "missing"]))


def test_another_process_gets_the_same_path(root: RemotePath) -> None:
    replace(root / "x", b"content")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(RemotePath.read_bytes, root / "x").result() == b"content"
        other = pool.submit(operator.truediv, root, "x").result()
    assert other == root / "x"
    assert hash(other) == hash(root / "x")
    shards = [ShardFiles(other.parent, 3), ShardFiles(root, 1)]
    assert sorted(shards) == [ShardFiles(root, 1), ShardFiles(root, 3)]


def test_names_are_taken_apart_as_pathlib_does(tmp_path: Path) -> None:
    root = RemotePath(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "bucket/set")
    path, pure = root / "data" / "a.tar.gz", PurePosixPath("bucket/set/data/a.tar.gz")
    assert (path.name, path.stem, path.suffix) == (pure.name, pure.stem, pure.suffix)
    assert path.parent == root / "data"
    assert path.parent.parent == root == root.resolve()
    assert path.with_name("b") == root / "data" / "b"
    assert path.relative_to(root) == PurePosixPath("data/a.tar.gz")
    assert below(path, root) == below(tmp_path / "data" / "a.tar.gz", tmp_path) == "data/a.tar.gz"
    with pytest.raises(ValueError, match="not in the subpath"):
        root.relative_to(path)
    elsewhere = RemotePath(fs.SubTreeFileSystem("/", fs.LocalFileSystem()), "bucket/set")
    assert root != elsewhere
    assert len({root, elsewhere, root / "x", root / "x"}) == 3


OPTIONS = "endpoint_override=127.0.0.1:9&scheme=http"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"s3://bucket/set?{OPTIONS}&access_key=me&secret_key=s/e+c=ret", "s3://bucket/set"),
        (f"s3://me:s%2Fecret@bucket/set/?{OPTIONS}", "s3://bucket/set"),
        (f"s3://me:secret@bucket?{OPTIONS}", "s3://bucket"),
        (f"s3://bucket/my set/x?{OPTIONS}&access_key=me&secret_key=secret", "s3://bucket/my%20set/x"),
        ("gs://anonymous@bucket/set", "gs://bucket/set"),
    ],
)
def test_a_uri_is_shown_without_secrets(text: str, shown: str) -> None:
    path = place(text)
    assert isinstance(path, RemotePath)
    assert str(path) == shown
    assert str(path / "data") == f"{shown}/data"
    assert place(address(path)) == path
    assert "ecret" not in f"{path} {path!r} {ShardFiles(path, 0)!r}"


def test_the_keys_of_a_uri_are_those_of_the_store() -> None:
    key, secret = "A+/=k", "s/e+c=r:e@t%2F"
    path: Any = place(
        f"s3://bucket/set?{OPTIONS}&region=us-east-1&access_key={key}&secret_key=s/e+c=r:e@t%252F"
    )
    options: Any = {"endpoint_override": "127.0.0.1:9", "scheme": "http", "region": "us-east-1"}
    store = fs.S3FileSystem(access_key=key, secret_key=secret, allow_delayed_open=True, **options)
    assert path.filesystem == store


def test_local_paths_stay_paths(tmp_path: Path) -> None:
    assert place(str(tmp_path)) == tmp_path
    assert place("some/where") == Path("some/where")
    assert place((tmp_path / "a b").as_uri()) == tmp_path / "a b"
    assert address(tmp_path) == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing://me:secret@bucket/x?token=secret", "nothing://bucket/x.*cannot be opened.*s3://"),
        ("s3://me:secret@bucket/x?nonsense=secret", "s3://bucket/x.*query parameter.*'nonsense'.*s3://"),
        ("s3://", "names no bucket; give for instance"),
        ("s3:///x", "s3:///x.*cannot be opened"),
        ("file://host/x", "file://host/x.*cannot be opened"),
    ],
)
def test_a_bad_uri_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        place(text)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_only_what_was_opened_by_a_uri_has_an_address(bucket: Callable[[str], str]) -> None:
    path = place(bucket("set"))
    assert address(path) == bucket("set")
    with pytest.raises(ValueError, match="not opened by a URI"):
        address(path / "data")
