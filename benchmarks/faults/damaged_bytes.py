# SPDX-License-Identifier: Apache-2.0
"""Bits that flip, and files that end too early or too late."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from benchmarks.faults.damage import MEMBERS, Named, any_shard, file_of, name_of, ok_rows, overwrite

Edit = Callable[[bytes, Random], bytes]


def flipped(content: bytes, rng: Random, start: int = 0, stop: int | None = None) -> bytes:
    """One bit of the bytes from `start` to `stop` is the other one."""
    changed = bytearray(content)
    changed[rng.randrange(start, len(content) if stop is None else stop)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: Random) -> bytes:
    """Something is missing at the end."""
    return content[: rng.randrange(1, len(content))]


def emptied(content: bytes, rng: Random) -> bytes:
    """Nothing is left."""
    return b""


def appended(content: bytes, rng: Random) -> bytes:
    """There is more at the end."""
    return content + rng.choice([b"\0", b"\n", b" ", bytes(512), content[:100], rng.randbytes(10240)])


def change_file(kind: str, edit: Edit, root: Path, rng: Random) -> Named:
    """Edit a shard's file."""
    shard = any_shard(root, rng)
    path = file_of(shard, kind)
    overwrite(path, edit(path.read_bytes(), rng))
    return [(name_of(shard), path.name) if kind != "stats" else (name_of(shard),)]


def change_meta(name: str, edit: Edit, root: Path, rng: Random) -> Named:
    """Edit a file of `_meta`."""
    path = root / "_meta" / name
    overwrite(path, edit(path.read_bytes(), rng))
    return [(f"_meta/{name}",)]


def flip_in_tar(region: str, root: Path, rng: Random) -> Named:
    """Flip a bit in a kind of member, in a header, in the padding, or in the end of a tar."""
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
    overwrite(shard.tar, flipped(content, rng, *places.get(region, (start, start + size))))
    named: Named = [(name_of(shard), shard.tar.name, "sha256")]
    if region == "end":
        return [*named, (name_of(shard), "byte")]
    # Of a picture that was encoded anew nothing else knows the bytes.
    return (
        [*named]
        if extension == "jpg" and row["reencoded"]
        else [*named, (name_of(shard), row["key"], "byte")]
    )


def flip_in_parquet(region: str, root: Path, rng: Random) -> Named:
    """Flip a bit in the pages or the footer."""
    shard = any_shard(root, rng)
    content = shard.parquet.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    place = (0, footer) if region == "pages" else (footer, len(content))
    overwrite(shard.parquet, flipped(content, rng, *place))
    return [(name_of(shard), shard.parquet.name, "sha256")]
