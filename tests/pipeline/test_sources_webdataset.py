# SPDX-License-Identifier: Apache-2.0
"""Webdataset tars: samples as webdataset groups them, metadata kept, damage never silent."""

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs
from webdataset.compat import WebDataset

from pipeline.sources import LISTING, open_source
from pipeline.sources.fetch import FETCHED
from pipeline.sources.location import Location
from pipeline.sources.webdataset import WebdatasetSource

Members = list[tuple[str, bytes]]


def write_tar(path: Path, members: Members, form: int = tarfile.USTAR_FORMAT) -> Path:
    """A tar with these members in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def img2dataset(count: int) -> Members:
    """Members as img2dataset writes them."""
    members = []
    for number in range(count):
        key = f"{number:09d}"
        meta = {
            "url": f"https://example.org/{number}.jpg",
            "caption": f"alt {number}",
            "key": key,
            "width": 9,
        }
        members += [
            (f"{key}.jpg", f"picture {number}".encode()),
            (f"{key}.json", json.dumps(meta).encode()),
            (f"{key}.txt", f"alt {number}".encode()),
        ]
    return members


def rows(location: Path | str) -> dict[str, dict[str, Any]]:
    """Everything in a source, by key."""
    source = open_source(str(location))
    table = source.fetch(source.listing())
    assert table.schema.equals(FETCHED)
    return {row["source_key"]: row for row in table.to_pylist()}


def test_img2dataset_output_is_kept_whole(tmp_path: Path) -> None:
    write_tar(tmp_path / "data" / "00000.tar", img2dataset(3))
    write_tar(tmp_path / "data" / "00001.tar", img2dataset(2))
    (tmp_path / "data" / "00000_stats.json").write_text("{}")
    found = rows(tmp_path)
    assert list(found) == [
        f"data/0000{tar}.tar/{n:09d}" for tar, count in ((0, 3), (1, 2)) for n in range(count)
    ]
    row = found["data/00001.tar/000000001"]
    assert (row["source_bytes"], row["alt_text"], row["url"]) == (
        b"picture 1",
        "alt 1",
        "https://example.org/1.jpg",
    )
    assert json.loads(row["source_meta"])["key"] == "000000001"
    assert row["source_uri"] == (tmp_path / "data" / "00001.tar").as_uri()
    assert row["status"] == "ok"


names = st.sampled_from(["a", "b", "x/a", "ü", "k 1"])
extensions = st.sampled_from(["jpg", "JPG", "png", "json", "txt", "seg.json", "cls"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(names, extensions),
        unique_by=lambda pair: (pair[0], pair[1].lower()),
        min_size=1,
        max_size=12,
    )
)
def test_samples_are_those_webdataset_sees(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Any]
) -> None:
    ordered = sorted(pairs, key=lambda pair: pair[0])  # webdataset itself wants a sample's members together
    members = [(f"{name}.{ext}", b"0" if ext == "cls" else b"{}") for name, ext in ordered]
    path = write_tar(tmp_path_factory.mktemp("tar") / "0.tar", members, tarfile.PAX_FORMAT)
    theirs = {s["__key__"]: set(s) & {"jpg", "png"} for s in WebDataset(str(path), shardshuffle=False)}
    ours = rows(path)
    assert {f"0.tar/{key}" for key in theirs} == set(ours)
    assert {key for key, row in ours.items() if row["status"] == "ok"} == {
        f"0.tar/{key}" for key, pictures in theirs.items() if pictures
    }
    assert {row["reason"] for row in ours.values()} <= {None, "no_image"}


def test_pictures_with_dots_in_their_names_are_pictures_of_their_own(tmp_path: Path) -> None:
    members = [("img.v1.jpg", b"1"), ("img.v2.JPG", b"2"), ("img.v2.txt", b"two"), ("img.json", b"{}")]
    members += [("x/a.b.c.png", b"3"), ("x/a.b.c.json", b'{"url": "u"}')]
    found = rows(write_tar(tmp_path / "0.tar", members))
    assert {key: (row["source_bytes"], row["alt_text"], row["url"]) for key, row in found.items()} == {
        "0.tar/img": (None, None, None),
        "0.tar/img.v1": (b"1", None, None),
        "0.tar/img.v2": (b"2", "two", None),
        "0.tar/x/a.b.c": (b"3", None, "u"),
    }
    assert found["0.tar/img"]["reason"] == "no_image"


def test_a_mask_beside_a_picture_is_no_picture(tmp_path: Path) -> None:
    found = rows(write_tar(tmp_path / "0.tar", [("a.jpg", b"1"), ("a.seg.png", b"2"), ("a.left.jpg", b"3")]))
    assert {key: row["source_bytes"] for key, row in found.items()} == {"0.tar/a": b"1"}


def test_members_need_not_stand_together(tmp_path: Path) -> None:
    members = img2dataset(4)
    together = rows(write_tar(tmp_path / "a" / "0.tar", members))
    apart = rows(write_tar(tmp_path / "b" / "0.tar", members[::3] + members[1::3] + members[2::3]))
    compared = ("source_bytes", "alt_text", "url", "source_meta", "status")
    assert [[r[c] for c in compared] for r in together.values()] == [
        [r[c] for c in compared] for r in apart.values()
    ]


def test_repeated_names_are_all_kept_and_told_apart(tmp_path: Path) -> None:
    members = [("a.jpg", b"1"), ("a.txt", b"one"), ("a.jpg", b"2"), ("a.txt", b"two"), ("a~2.jpg", b"3")]
    found = rows(write_tar(tmp_path / "0.tar", members))
    assert {key: (row["source_bytes"], row["alt_text"]) for key, row in found.items()} == {
        "0.tar/a": (b"1", "one"),
        "0.tar/a~3": (b"2", "two"),
        "0.tar/a~2": (b"3", None),
    }


def test_the_picture_comes_before_masks_and_sidecars(tmp_path: Path) -> None:
    ours = [("0-0.jpg", b"picture"), ("0-0.json", b"{}"), ("0-0.png", b"mask"), ("0-0.txt", b"")]
    row = rows(write_tar(tmp_path / "0.tar", ours))["0.tar/0-0"]
    assert row["source_bytes"] == b"picture"
    assert row["alt_text"] is None or row["alt_text"] == ""


def test_a_sample_without_picture_is_a_row(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "0.tar", [("a.json", b"{}"), ("README", b"hello"), ("b.jpg", b"")])
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "b.jpg"
        tar.addfile(link)
    found = {key: (row["status"], row["reason"], row["stage"]) for key, row in rows(path).items()}
    missing = ("rejected", "no_image", "read")
    assert found == {
        "0.tar/a": missing,
        "0.tar/README": missing,
        "0.tar/link": missing,
        "0.tar/b": ("ok", None, None),
    }


@pytest.mark.parametrize(
    ("text", "meta", "url"),
    [
        (b'{"url": "u", "x": [1]}', '{"url": "u", "x": [1]}', "u"),
        (b'{"url": "u", "similarity": NaN}', '{"url": "u", "similarity": null}', "u"),
        (b'["url"]', '"[\\"url\\"]"', None),
        (b"{broken", '"{broken"', None),
        (b"\xff\xfe", '"\\ufffd\\ufffd"', None),
        (b'{"url": 5}', '{"url": 5}', None),
        (b'{"url": "\\ud800"}', '{"url": "\\ud800"}', "?"),
        (b"[" * 100_000, json.dumps("[" * 100_000), None),
    ],
)
def test_metadata_of_any_kind_survives_as_json(
    tmp_path: Path, text: bytes, meta: str, url: str | None
) -> None:
    row = next(iter(rows(write_tar(tmp_path / "0.tar", [("a.jpg", b"x"), ("a.json", text)])).values()))
    assert (row["status"], row["source_meta"], row["url"]) == ("ok", meta, url)
    assert isinstance(json.loads(row["source_meta"]), dict | str)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(tmp_path: Path, form: int) -> None:
    names = [
        "./a.jpg",
        "ü图.jpg",
        *([] if form == tarfile.USTAR_FORMAT else ["d" * 90 + "/" + "f" * 190 + ".jpg"]),
    ]
    found = rows(write_tar(tmp_path / "0.tar", [(name, name.encode()) for name in names], form))
    wanted = {f"0.tar/{name.removeprefix('./').removesuffix('.jpg')}": name.encode() for name in names}
    assert {key: row["source_bytes"] for key, row in found.items()} == wanted


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("b\udcff.jpg", b"x")], tarfile.GNU_FORMAT)
    assert {key: row["source_bytes"] for key, row in rows(tmp_path).items()} == {"0.tar/b\\xff": b"x"}


def test_wherever_a_tar_is_cut_it_shows(tmp_path: Path) -> None:
    members = img2dataset(3)
    data = write_tar(tmp_path / "whole" / "0.tar", members).read_bytes()
    end = len(members) * 1024
    whole = {key: row["source_bytes"] for key, row in rows(tmp_path / "whole").items()}
    for size in [0, 1, 511, 512, 513, *range(700, end + 1, 487), end]:
        (tmp_path / "0.tar").write_bytes(data[:size])
        found = rows(tmp_path / "0.tar")
        broken = found.pop("0.tar/!broken")
        assert (broken["status"], broken["stage"], broken["reason"]) == ("error", "read", "broken_tar")
        assert "at byte" in broken["detail"]
        good = {key: row["source_bytes"] for key, row in found.items() if row["status"] == "ok"}
        assert good.items() <= whole.items()
        assert {row["reason"] for row in found.values()} <= {None, "no_image"}
        # A picture takes two blocks, and a sample six: none that is still there is given up.
        assert len(good) == sum(size >= 3072 * sample + 512 + len(b"picture 0") for sample in range(3))


def test_a_damaged_header_shows_and_costs_nothing_before_it(tmp_path: Path) -> None:
    data = bytearray(write_tar(tmp_path / "0.tar", img2dataset(4)).read_bytes())
    data[2 * 3072 + 5] ^= 0xFF
    (tmp_path / "0.tar").write_bytes(data)
    found = rows(tmp_path)
    assert [key for key in found if found[key]["status"] == "ok"] == ["0.tar/000000000", "0.tar/000000001"]
    assert found["0.tar/!broken"]["detail"].startswith("at byte 6144")


def test_data_after_the_end_shows(tmp_path: Path) -> None:
    one, two = (write_tar(tmp_path / name, img2dataset(1)).read_bytes() for name in ("a.tar", "b.tar"))
    (tmp_path / "both.tar").write_bytes(one + two)
    found = rows(tmp_path / "both.tar")
    assert found["both.tar/000000000"]["status"] == "ok"
    assert found["both.tar/!broken"]["reason"] == "broken_tar"


@pytest.mark.parametrize("data", [b"<html>404</html>" * 100, bytes(7), b"\x1f\x8b" + bytes(600)])
def test_what_is_no_tar_at_all_is_one_row(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "0.tar").write_bytes(data)
    write_tar(tmp_path / "1.tar", img2dataset(1))
    found = rows(tmp_path)
    assert {key: row["status"] for key, row in found.items()} == {
        "0.tar/!broken": "error",
        "1.tar/000000000": "ok",
    }


def test_an_empty_archive_holds_nothing_and_is_whole(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [])
    assert rows(tmp_path) == {}


def test_a_tar_that_vanishes_or_shrinks_after_listing_gives_error_rows(tmp_path: Path) -> None:
    for name in ("0.tar", "1.tar", "2.tar"):
        write_tar(tmp_path / name, img2dataset(2))
    source = open_source(str(tmp_path))
    listing = source.listing()
    (tmp_path / "0.tar").unlink()
    (tmp_path / "1.tar").write_bytes((tmp_path / "1.tar").read_bytes()[:3072])
    result = {row["source_key"]: row for row in source.fetch(listing).to_pylist()}
    failed = {key: row["reason"] for key, row in result.items() if row["status"] == "error"}
    assert failed == dict.fromkeys(["0.tar/000000000", "0.tar/000000001", "1.tar/000000001"], "unreadable")
    assert len(result) == 6


def test_listing_reads_headers_and_fetching_reads_members(tmp_path: Path) -> None:
    """Pictures of many megabytes that occupy no disk: reading them whole would take the memory it forbids."""
    size = 3 << 30
    with (tmp_path / "0.tar").open("wb") as file:
        for name, length in (("big.jpg", size), ("small.jpg", 5)):
            info = tarfile.TarInfo(name)
            info.size = length
            file.write(info.tobuf(tarfile.USTAR_FORMAT))
            file.seek(-(-length // 512) * 512, io.SEEK_CUR)
        file.write(bytes(1024))
    source = open_source(str(tmp_path))
    before = pa.total_allocated_bytes()
    listing = source.listing()
    assert listing["members"].to_pylist()[0] == [{"ext": "jpg", "offset": 512, "size": size}]
    assert source.fetch(listing.slice(1))["source_bytes"].to_pylist() == [bytes(5)]
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_other_filesystems_give_the_same(tmp_path: Path) -> None:
    write_tar(tmp_path / "s" / "0.tar", img2dataset(3))
    write_tar(tmp_path / "1.tar", img2dataset(1))
    (tmp_path / "2.tar").write_bytes(b"no tar")
    source = open_source(str(tmp_path))
    below = Location(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "", source.location.uri)  # pyright: ignore[reportAttributeAccessIssue]
    remote = pickle.loads(pickle.dumps(WebdatasetSource(below)))  # noqa: S301
    assert remote.listing().schema.equals(LISTING)
    assert remote.listing().equals(source.listing())
    assert remote.fetch(remote.listing()).equals(source.fetch(source.listing()))
    memory, root = fs.FileSystem.from_uri("fsspec+memory:///tars")
    fs.copy_files(str(tmp_path), root, fs.LocalFileSystem(), memory)
    assert open_source("fsspec+memory:///tars/*.tar").listing()["source_key"].to_pylist() == [
        "1.tar/000000000",
        "2.tar/!broken",
    ]
