# SPDX-License-Identifier: Apache-2.0
"""Damage to a dataset as disks, copies and people do it: bits, lengths, mix-ups, losses, strangers.

A damage changes a copy of a dataset whose files are hard links, so it never writes into a file that is there.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from pipeline.dataset.layout import DIGESTED, committed_shards
from stages.shard.files import ShardFiles

Named = list[tuple[str, ...]]
"""What a check must say: for each entry one problem that holds all of its words."""
Change = Callable[[Path, Random], Named]
MEMBERS = ("jpg", "json", "png", "txt")
META = (*DIGESTED, "digests.json")
_KINDS = ("tar", "parquet", "stats")


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to damage a dataset."""

    kind: str
    """What its row in the table is called."""
    name: str
    change: Change
    deep: bool = False
    """Only `verify --deep` can see it."""


def damages() -> Iterator[Damage]:
    """All of them, in a fixed order."""
    for region in (*MEMBERS, "header", "padding", "end"):
        yield Damage("a bit flipped in a tar", region, partial(_flip_in_tar, region))
    for region in ("pages", "footer"):
        yield Damage("a bit flipped in a parquet", region, partial(_flip_in_parquet, region))
    yield Damage("a bit flipped in stats", "stats", partial(_change_file, "stats", _flipped))
    yield from (Damage("a bit flipped in _meta", n, partial(_change_meta, n, _flipped)) for n in META)
    edits = {"cut off": _cut, "emptied": lambda content, rng: b"", "more at its end": _appended}
    for what, edit in edits.items():
        yield from (Damage(f"shard's file {what}", k, partial(_change_file, k, edit)) for k in _KINDS)
        yield from (Damage(f"file of _meta {what}", name, partial(_change_meta, name, edit)) for name in META)
    for kinds in (("tar",), ("parquet",), ("stats",), _KINDS):
        yield Damage("shards mixed up", f"swapped {'+'.join(kinds)}", partial(_swap, kinds))
        yield Damage("shards mixed up", f"overwritten {'+'.join(kinds)}", partial(_overwrite, kinds))
    yield Damage("shards mixed up", "copied under a new number", _copy_as_new)
    for extension in MEMBERS:
        yield Damage("members mixed up in a tar", extension, partial(_swap_members, extension))
    yield from (Damage("file deleted", kind, partial(_delete, (kind,))) for kind in (*_KINDS,))
    yield Damage("file deleted", "whole shard", partial(_delete, _KINDS))
    yield from (Damage("file deleted", name, partial(_delete_meta, name)) for name in META)
    yield from (Damage("foreign file", place, partial(_add, place)) for place in _FOREIGN)
    yield from (Damage("foreign file", f"link for {kind}", partial(_link, kind)) for kind in _KINDS)
    yield Damage("foreign file", "link for a file of _meta", _link_meta)


_FOREIGN = (
    *("data/notes.txt", "data/.hidden", "data/train/notes.txt", "data/train/.DS_Store", "_meta/notes.txt"),
    *("data/train/.00001.tar.tmp-0123456789ab", "data/train/00077.tar", "data/train/00077.parquet"),
    *("data/train/00077_stats.json", "data/train/000001_stats.json", "data/train/0_stats.json"),
    *("data/train/folder/", "data/val/", "data/train/00077_stats.json/", "_meta/folder/"),
)


def any_shard(root: Path, rng: Random) -> ShardFiles:
    """One of the dataset's."""
    return rng.choice(committed_shards(root))


def ok_rows(shard: ShardFiles) -> list[dict[str, Any]]:
    """Its samples' keys and places."""
    names = [f"{member}_{what}" for member in MEMBERS for what in ("offset", "size")]
    rows = pq.read_table(shard.parquet, columns=["key", "status", "reencoded", *names]).to_pylist()
    return [row for row in rows if row["status"] == "ok"]


def name_of(shard: ShardFiles) -> str:
    """As problems call it."""
    return f"{shard.folder.name}/{shard.stem}"


def overwrite(path: Path, content: bytes) -> None:
    """A new file in place of an old one."""
    path.unlink()
    path.write_bytes(content)


def _file(shard: ShardFiles, kind: str) -> Path:
    return {"tar": shard.tar, "parquet": shard.parquet, "stats": shard.stats}[kind]


def _flipped(content: bytes, rng: Random, start: int = 0, stop: int | None = None) -> bytes:
    changed = bytearray(content)
    changed[rng.randrange(start, len(content) if stop is None else stop)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def _appended(content: bytes, rng: Random) -> bytes:
    return content + rng.choice([b"\0", b"\n", b" ", bytes(512), content[:100], rng.randbytes(10240)])


def _change_file(kind: str, edit: Callable[[bytes, Random], bytes], root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    path = _file(shard, kind)
    overwrite(path, edit(path.read_bytes(), rng))
    return [(name_of(shard), path.name) if kind != "stats" else (name_of(shard),)]


def _change_meta(name: str, edit: Callable[[bytes, Random], bytes], root: Path, rng: Random) -> Named:
    path = root / "_meta" / name
    overwrite(path, edit(path.read_bytes(), rng))
    return [(f"_meta/{name}",)]


def _flip_in_tar(region: str, root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    content, rows = shard.tar.read_bytes(), ok_rows(shard)
    row, extension = rng.choice(rows), region if region in MEMBERS else rng.choice(MEMBERS)
    start, size = row[f"{extension}_offset"], row[f"{extension}_size"]
    after = rows[-1]["txt_offset"] + rows[-1]["txt_size"]
    places = {
        "header": (start - 512, start),
        "padding": (start + size, start + size + (-size % 512 or 1)),
        "end": (after + -after % 512, len(content)),
    }
    overwrite(shard.tar, _flipped(content, rng, *places.get(region, (start, start + size))))
    named: Named = [(name_of(shard), shard.tar.name, "sha256")]
    if region == "end":
        return [*named, (name_of(shard), "byte")]
    # Of a picture that was encoded anew nothing else knows the bytes.
    return (
        [*named]
        if extension == "jpg" and row["reencoded"]
        else [*named, (name_of(shard), row["key"], "byte")]
    )


def _flip_in_parquet(region: str, root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    content = shard.parquet.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    place = (0, footer) if region == "pages" else (footer, len(content))
    overwrite(shard.parquet, _flipped(content, rng, *place))
    return [(name_of(shard), shard.parquet.name, "sha256")]


def _two(root: Path, rng: Random) -> list[ShardFiles]:
    return rng.sample(committed_shards(root), 2)


def _swap(kinds: tuple[str, ...], root: Path, rng: Random) -> Named:
    one, other = _two(root, rng)
    for kind in kinds:
        aside = _file(one, kind).rename(root / "aside")
        _file(other, kind).rename(_file(one, kind))
        aside.rename(_file(other, kind))
    return [(name_of(one),), (name_of(other),)]


def _overwrite(kinds: tuple[str, ...], root: Path, rng: Random) -> Named:
    one, other = _two(root, rng)
    for kind in kinds:
        overwrite(_file(other, kind), _file(one, kind).read_bytes())
    return [(name_of(other),)]


def _copy_as_new(root: Path, rng: Random) -> Named:
    one, new = any_shard(root, rng), ShardFiles(root / "data" / "train", rng.randrange(50, 99))
    for kind in _KINDS:
        shutil.copy(_file(one, kind), _file(new, kind))
    return [(name_of(new),)]


def _swap_members(extension: str, root: Path, rng: Random) -> Named:
    """Two samples' members of one kind change places with their headers: a tar in another order."""
    shard = any_shard(root, rng)
    content = shard.tar.read_bytes()
    blocks = []
    for row in rng.sample(ok_rows(shard), 2):
        start, size = row[f"{extension}_offset"], row[f"{extension}_size"]
        blocks.append((start - 512, start + size + -size % 512))
    (a, b), (c, d) = sorted(blocks)
    overwrite(shard.tar, content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:])
    return [
        (name_of(shard), shard.tar.name, "sha256"),
        (name_of(shard), "the members that it should", "byte"),
    ]


def _delete(kinds: tuple[str, ...], root: Path, rng: Random) -> Named:
    shard = any_shard(root, rng)
    for kind in kinds:
        _file(shard, kind).unlink()
    return [
        (name_of(shard), "is not there" if "stats" in kinds else f"{_file(shard, kinds[0]).name} is missing")
    ]


def _delete_meta(name: str, root: Path, rng: Random) -> Named:
    (root / "_meta" / name).unlink()
    return [(f"_meta/{name} is missing",)]


def _add(place: str, root: Path, rng: Random) -> Named:
    path = root / place
    if place.endswith("/"):
        path.mkdir(parents=True)
    else:
        path.write_bytes(rng.choice([b"", b"{}\n", rng.randbytes(600)]))
    return [("train/00077:",) if path.name == "00077_stats.json" else (place.rstrip("/"),)]


def _link(kind: str, root: Path, rng: Random) -> Named:
    path = _file(any_shard(root, rng), kind)
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    return [(path.name, "link")]


def _link_meta(root: Path, rng: Random) -> Named:
    path = root / "_meta" / rng.choice(META)
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    return [(f"_meta/{path.name}", "link")]
