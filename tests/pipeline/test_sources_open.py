# SPDX-License-Identifier: Apache-2.0
"""Opening a source: the right kind is found, and every mistake is one clear line."""

import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline.errors import UserError
from pipeline.sources import open_source
from pipeline.sources.files import walk
from pipeline.sources.folder import FolderSource
from pipeline.sources.location import locate
from pipeline.sources.parquet import ParquetSource
from pipeline.sources.webdataset import WebdatasetSource


def put(folder: Path, *names: str) -> Path:
    """A folder with these files: tars and parquets of one sample, one byte in all others."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tar"):
            with tarfile.open(path, "w") as tar:
                tar.addfile(tarfile.TarInfo("s.jpg"))
        elif name.endswith(".parquet"):
            pq.write_table(pa.table({"image": pa.array([b"x"])}), path)
        else:
            path.write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["a.jpg"], FolderSource),
        (["deep/er/a.JPEG", "a.txt"], FolderSource),
        (["0.tar"], WebdatasetSource),
        (["data/train/0.tar", "data/train/0.parquet", "teaser.png", "README.md"], WebdatasetSource),
        (["data/0.parquet"], ParquetSource),
        (["metadata.parquet", "a.jpg"], FolderSource),
    ],
)
def test_the_kind_is_found(tmp_path: Path, names: list[str], kind: type) -> None:
    assert type(open_source(str(put(tmp_path, *names)))) is kind


def test_the_kind_can_be_chosen(tmp_path: Path) -> None:
    put(tmp_path, "0.tar", "a.jpg", "t.parquet")
    kinds = {"folder": FolderSource, "webdataset": WebdatasetSource, "parquet": ParquetSource}
    assert {kind: type(open_source(str(tmp_path), kind)) for kind in kinds} == kinds


@pytest.mark.parametrize(
    ("location", "options", "says"),
    [
        ("", {}, "name is empty.*give a folder"),
        ("missing", {}, "missing.*nothing is there.*give a folder"),
        ("missing/*.tar", {}, "missing.*nothing is there"),
        ("empty", {}, "empty.*no pictures, tars or parquet files.*must end in"),
        ("hidden", {}, "hidden.*no pictures"),
        ("texts", {}, "texts.*no pictures"),
        ("pictures", {"kind": "webdataset"}, r"pictures.*no \.tar file.*of kind folder"),
        ("pictures", {"kind": "parquet"}, r"no \.parquet file.*of kind folder"),
        ("tars", {"kind": "folder"}, r"no \.jpg.*of kind webdataset"),
        ("pictures", {"kind": "zip"}, "'zip': unknown; choose one of auto, webdataset, folder, parquet"),
        ("pictures", {"image_column": "image"}, "image_column is for parquet files, this is folder"),
        ("tars/{0..3}.tar", {}, "2 missing files, the first is '2.tar'"),
        ("tars/{0.tar", {}, "bad pattern.*close every brace"),
        ("texts/a.txt", {}, "no pictures"),
        ("nothing://bucket/x", {}, r"nothing://bucket/x.*cannot be opened.*s3://"),
        ("fsspec+nothing://bucket/x", {}, "cannot be opened"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, options: dict[str, str], says: str
) -> None:
    put(tmp_path, "pictures/a.jpg", "tars/0.tar", "tars/1.tar", "texts/a.txt", "hidden/.git/a.jpg")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        open_source(location, **options).listing()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("*.tar", {"0.tar", "1.tar", "10.tar"}),
        ("{0..1}.tar", {"0.tar", "1.tar"}),
        ("{0,10}.tar", {"0.tar", "10.tar"}),
        ("1*.tar", {"1.tar", "10.tar"}),
        ("10.tar", {"10.tar"}),
        ("sub/*.tar", {"0.tar", "2.tar"}),
        ("*/{2..2}.tar", {"sub/2.tar"}),
        ("{*0,sub/2}.tar", {"0.tar", "10.tar", "sub/2.tar"}),
        ("", {"0.tar", "1.tar", "10.tar", "sub/0.tar", "sub/2.tar"}),
    ],
)
@pytest.mark.parametrize("form", ["path", "uri"])
def test_patterns_choose_files(tmp_path: Path, pattern: str, files: set[str], form: str) -> None:
    folder = put(tmp_path / "a b [x]", "0.tar", "1.tar", "10.tar", "sub/0.tar", "sub/2.tar", "1.jpg")
    base = str(folder) if form == "path" else folder.as_uri()
    source = open_source(f"{base}/{pattern}")
    assert set(source.listing()["source_key"].to_pylist()) == {f"{file}/s" for file in files}


def test_folders_that_no_pattern_reaches_are_not_listed(tmp_path: Path) -> None:
    put(tmp_path, "0.tar", "a/1.tar", "a/b/2.tar")
    for pattern, folders in [("0.tar", 1), ("*.tar", 1), ("*/1.tar", 2), ("{0,a/1}.tar", 2)]:
        assert len(list(walk(locate(f"{tmp_path}/{pattern}")))) == folders


def test_a_name_with_braces_of_its_own_is_that_file(tmp_path: Path) -> None:
    put(tmp_path / "{a,b}", "*.jpg")
    assert open_source(str(tmp_path / "{a,b}")).listing()["source_key"].to_pylist() == ["*.jpg"]


def test_credentials_stay_out_of_the_record() -> None:
    with pytest.raises(UserError) as caught:
        open_source("nothing://key:secret@bucket/x?token=secret")
    assert "secret" not in str(caught.value)
    address = "fsspec+memory://key:secret@localhost/x?token=secret"
    memory, root = fs.FileSystem.from_uri(address)
    memory.create_dir(root)
    place = locate(address)
    assert "secret" not in place.uri
    assert place.uri_of("a.jpg") == "fsspec+memory://localhost/x/a.jpg"
