# SPDX-License-Identifier: Apache-2.0
"""Files that change places, go missing, or do not belong there."""

import shutil
from pathlib import Path
from random import Random

from benchmarks.faults.damage import KINDS, META, Named, any_shard, file_of, name_of, ok_rows, overwrite
from pipeline.dataset.layout import committed_shards
from stages.shard.files import ShardFiles

FOREIGN = (
    *("data/notes.txt", "data/.hidden", "data/train/notes.txt", "data/train/.DS_Store", "_meta/notes.txt"),
    *("data/train/.00001.tar.tmp-0123456789ab", "data/train/00077.tar", "data/train/00077.parquet"),
    *("data/train/00077_stats.json", "data/train/000001_stats.json", "data/train/0_stats.json"),
    *("data/train/folder/", "data/val/", "data/train/00077_stats.json/", "_meta/folder/"),
    *("_meta/source/00099.parquet", "_meta/source/notes.txt"),
)
"""Folders end in a slash."""


def _two(root: Path, rng: Random) -> list[ShardFiles]:
    return rng.sample(committed_shards(root), 2)


def swap(kinds: tuple[str, ...], root: Path, rng: Random) -> Named:
    """Two shards' files change places."""
    one, other = _two(root, rng)
    for kind in kinds:
        aside = file_of(one, kind).rename(root / "aside")
        file_of(other, kind).rename(file_of(one, kind))
        aside.rename(file_of(other, kind))
    return [(name_of(one),), (name_of(other),)]


def replace_files(kinds: tuple[str, ...], root: Path, rng: Random) -> Named:
    """A shard's files are copies of another's."""
    one, other = _two(root, rng)
    for kind in kinds:
        overwrite(file_of(other, kind), file_of(one, kind).read_bytes())
    return [(name_of(other),)]


def copy_as_new(root: Path, rng: Random) -> Named:
    """A shard's files are there under a new number too."""
    one, new = any_shard(root, rng), ShardFiles(root / "data" / "train", rng.randrange(50, 99))
    for kind in KINDS:
        shutil.copy(file_of(one, kind), file_of(new, kind))
    return [(name_of(new),)]


def swap_members(extension: str, root: Path, rng: Random) -> Named:
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


def delete(kinds: tuple[str, ...], root: Path, rng: Random) -> Named:
    """A shard's files are gone."""
    shard = any_shard(root, rng)
    for kind in kinds:
        file_of(shard, kind).unlink()
    return [
        (
            name_of(shard),
            "is not there" if "stats" in kinds else f"{file_of(shard, kinds[0]).name} is missing",
        )
    ]


def delete_meta(name: str, root: Path, rng: Random) -> Named:
    """A file of `_meta` is gone."""
    (root / "_meta" / name).unlink()
    return [(f"_meta/{name} is missing",)]


def add(place: str, root: Path, rng: Random) -> Named:
    """A file or folder that no build writes."""
    path = root / place
    if place.endswith("/"):
        path.mkdir(parents=True)
    else:
        path.write_bytes(rng.choice([b"", b"{}\n", rng.randbytes(600)]))
    return [("train/00077:",) if path.name == "00077_stats.json" else (place.rstrip("/"),)]


def link(kind: str, root: Path, rng: Random) -> Named:
    """A shard's file is a link to the same bytes elsewhere."""
    path = file_of(any_shard(root, rng), kind)
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    return [(path.name, "link")]


def link_meta(root: Path, rng: Random) -> Named:
    """A file of `_meta` is such a link."""
    path = root / "_meta" / rng.choice(META)
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    return [(str(path.relative_to(root)), "link")]
