# SPDX-License-Identifier: Apache-2.0
import shutil

import pytest

from pipeline.sources import open_source
from pipeline.sources.digest import source_digest


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a/c.png", "a.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "in"


def digest(folder):
    return source_digest(open_source(str(folder)))


def test_the_same_files_elsewhere_are_the_same_source(folder, tmp_path):
    assert digest(folder) == digest(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert len(digest(folder)) == 64


def test_what_the_source_cannot_use_does_not_count(folder):
    before = digest(folder)
    (folder / "notes.txt").write_text("x")
    (folder / ".hidden.jpg").write_text("x")
    assert digest(folder) == before


@pytest.mark.parametrize("change", ["new", "gone", "longer", "moved", "link"])
def test_every_change_of_names_and_sizes_shows(folder, change):
    before = digest(folder)
    if change == "new":
        (folder / "a" / "d.jpg").touch()
    elif change == "gone":
        (folder / "b.jpg").unlink()
    elif change == "longer":
        (folder / "b.jpg").write_bytes(b"something longer")
    elif change == "moved":
        (folder / "a" / "c.png").rename(folder / "c.png")
    else:
        (folder / "z.jpg").symlink_to("nowhere")
    assert digest(folder) != before
