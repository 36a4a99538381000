# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures, on this machine and behind other filesystems."""

import os
import pickle
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pyarrow import fs

from pipeline.errors import UserError
from pipeline.sources import open_source, other_files
from pipeline.sources.folder import FolderSource
from pipeline.sources.location import Location
from tests.bad_images import jpeg

NAMES = ["z.jpg", "a/1.PNG", "a/b/ü 图.webp", "a.jpg", "a-b.jpg", "100%.gif", "B.TIFF", "x.y.jpeg"]


def fill(folder: Path, names: list[str]) -> Path:
    """Write files whose content is their own name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def content(source: object) -> dict[str, bytes]:
    """Key and bytes of everything in a source."""
    table = source.fetch(source.listing())  # pyright: ignore[reportAttributeAccessIssue]
    return dict(zip(table["source_key"].to_pylist(), table["source_bytes"].to_pylist(), strict=True))


def test_keys_are_paths_in_code_point_order(tmp_path: Path) -> None:
    source = open_source(str(fill(tmp_path, [*NAMES, "notes.txt", ".hidden/x.jpg", "a/.x.jpg"])))
    listing = source.listing()
    assert listing["source_key"].to_pylist() == sorted(NAMES)
    assert other_files(listing) == 1
    assert content(source) == {name: name.encode() for name in NAMES}


def test_any_part_in_any_order_can_be_fetched(tmp_path: Path) -> None:
    source = pickle.loads(pickle.dumps(open_source(str(fill(tmp_path, NAMES)))))  # noqa: S301
    part = source.listing().take([5, 0, 3])
    assert source.fetch(part)["source_bytes"].to_pylist() == [
        key.encode() for key in part["source_key"].to_pylist()
    ]
    assert source.fetch(part.slice(0, 0)).num_rows == 0


def test_uris_are_absolute_and_lead_back_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "in put", NAMES)
    monkeypatch.chdir(tmp_path)
    source = open_source("in put")
    table = source.fetch(source.listing())
    for key, uri in zip(table["source_key"].to_pylist(), table["source_uri"].to_pylist(), strict=True):
        filesystem, path = fs.FileSystem.from_uri(uri)
        assert path == str(tmp_path / "in put" / key)
        assert filesystem.open_input_file(path).read() == key.encode()


def test_other_filesystems_list_and_read_the_same(tmp_path: Path) -> None:
    fill(tmp_path, [*NAMES, "notes.txt", ".hidden/x.jpg"])
    here = content(open_source(str(tmp_path)))
    assert content(open_source(tmp_path.as_uri())) == here
    below = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    subtree = pickle.loads(pickle.dumps(FolderSource(Location(below, "", "sub://tree"))))  # noqa: S301
    assert content(subtree) == here
    assert subtree.fetch(subtree.listing())["source_uri"][0].as_py() == "sub://tree/100%25.gif"


def test_a_remote_filesystem_by_its_uri(tmp_path: Path) -> None:
    fill(tmp_path, [*NAMES, "notes.txt"])
    memory, root = fs.FileSystem.from_uri("fsspec+memory:///folder")
    fs.copy_files(str(tmp_path), root, fs.LocalFileSystem(), memory)
    source = open_source("fsspec+memory:///folder")
    assert content(source) == content(open_source(str(tmp_path)))
    assert other_files(source.listing()) == 1
    memory.delete_file(f"{root}/z.jpg")
    gone = source.fetch(open_source(str(tmp_path)).listing()).to_pylist()[-1]
    assert (gone["source_key"], gone["status"], gone["reason"]) == ("z.jpg", "error", "unreadable")


def test_a_listing_outlives_a_move(tmp_path: Path) -> None:
    listing = open_source(str(fill(tmp_path / "before", NAMES))).listing()
    (tmp_path / "before").rename(tmp_path / "after")
    moved = open_source(str(tmp_path / "after")).fetch(listing)
    assert set(moved["status"].to_pylist()) == {"ok"}


def test_what_cannot_be_read_becomes_a_row(tmp_path: Path) -> None:
    source = open_source(str(fill(tmp_path, ["gone.jpg", "good.jpg", "swapped.jpg"])))
    listing = source.listing()
    (tmp_path / "gone.jpg").unlink()
    (tmp_path / "swapped.jpg").unlink()
    (tmp_path / "swapped.jpg").mkdir()
    rows = {row["source_key"]: row for row in source.fetch(listing).to_pylist()}
    assert rows["good.jpg"]["status"] == "ok"
    for key in ("gone.jpg", "swapped.jpg"):
        assert (rows[key]["status"], rows[key]["stage"], rows[key]["reason"]) == (
            "error",
            "read",
            "unreadable",
        )
        assert rows[key]["source_bytes"] is None
        assert key in rows[key]["detail"]


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX users")
def test_without_permission_a_file_is_a_row_and_a_folder_an_error() -> None:
    script = """
import os, sys
from pipeline.errors import UserError
from pipeline.sources import open_source
source = open_source(sys.argv[1])
if os.getuid() == 0:
    os.setuid(65534)  # root may read everything
listing = source.listing()
print(*zip(listing["source_key"].to_pylist(), source.fetch(listing)["reason"].to_pylist()))
try:
    open_source(sys.argv[2]).listing()
except UserError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as name:
        files = fill(Path(name) / "files", ["secret.jpg", "plain.jpg"])
        folders = fill(Path(name) / "folders", ["plain.jpg", "secret/a.jpg"])
        Path(name).chmod(0o755)
        (files / "secret.jpg").chmod(0)
        (folders / "secret").chmod(0)
        command = [sys.executable, "-c", script, str(files), str(folders)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        (folders / "secret").chmod(0o755)
    rows, error = done.stdout.splitlines()
    assert rows == "('plain.jpg', None) ('secret.jpg', 'unreadable')", done.stderr
    assert re.search(r"folders/secret.*cannot be listed.*Permission denied", error)


def test_loops_of_links_end_and_links_to_elsewhere_are_followed(tmp_path: Path) -> None:
    fill(tmp_path / "in", ["a/1.jpg"])
    fill(tmp_path / "elsewhere", ["2.jpg"])
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "self.jpg").symlink_to(tmp_path / "in" / "self.jpg")
    source = open_source(str(tmp_path / "in"))
    rows = {row["source_key"]: row["status"] for row in source.fetch(source.listing()).to_pylist()}
    assert rows == {"a/1.jpg": "ok", "b/2.jpg": "ok", "self.jpg": "error"}


def test_names_that_print_alike_stay_apart(tmp_path: Path) -> None:
    for name in (b"\xff.jpg", b"\\xff.jpg", b"\xfe.jpg"):
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    source = open_source(str(tmp_path))
    assert set(content(source).values()) == {b"\xff.jpg", b"\\xff.jpg", b"\xfe.jpg"}
    assert len(set(source.listing()["source_key"].to_pylist())) == 3


def test_a_single_picture_is_a_source_of_one(tmp_path: Path) -> None:
    fill(tmp_path, NAMES)
    assert content(open_source(str(tmp_path / "a.jpg"))) == {"a.jpg": b"a.jpg"}


def test_a_vanished_folder_is_an_error_of_one_line(tmp_path: Path) -> None:
    source = open_source(str(fill(tmp_path / "in", ["a.jpg"])))
    (tmp_path / "in").rename(tmp_path / "out")
    with pytest.raises(UserError, match=r"in.*cannot be listed") as caught:
        source.listing()
    assert "\n" not in str(caught.value)


def test_bytes_are_untouched(tmp_path: Path) -> None:
    data = jpeg()
    (tmp_path / "a.jpg").write_bytes(data)
    assert content(open_source(str(tmp_path))) == {"a.jpg": data}
