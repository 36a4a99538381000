# SPDX-License-Identifier: Apache-2.0
"""A shard's tar against its rows: which members it holds, where, and what is in them."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from pipeline.dataset.problem import Problem
from pipeline.dataset.verify_sample import check_sample
from pipeline.dataset.verify_tar import Member, TarDamageError, walk_tar
from stages.columns import OK
from stages.shard.files import ShardFiles

Row = dict[str, Any]
_EXTENSIONS = ("jpg", "json", "png", "txt")


def check_tar(
    shard: str, files: ShardFiles, rows: list[Row] | None, extra: pa.Schema, deep: bool
) -> Iterator[Problem]:
    """Check a shard's tar.

    Args:
        shard: its name in problems.
        files: the shard's.
        rows: of its parquet; None if that cannot be read, then only names and order are checked.
        extra: columns of the rows that each json has under `extra`.
        deep: decode every JPEG fully.
    """
    samples = [row for row in rows or [] if row["status"] == OK]
    with files.tar.open("rb") as stream:
        try:
            members = [*walk_tar(stream, files.tar.stat().st_size)]
        except TarDamageError as error:
            yield Problem(shard, str(error), _key_at(samples, error.offset), error.offset)
        else:
            expected = _names(files, members) if rows is None else _members(samples)
            yield from _compare(shard, members, expected)
        for row in samples:
            yield from _check_sample(shard, stream, row, extra, deep)


def _members(samples: list[Row]) -> list[Member]:
    places = ((row, extension) for row in samples for extension in _EXTENSIONS)
    return [Member(f"{row['key']}.{e}", row[f"{e}_offset"], row[f"{e}_size"]) for row, e in places]


def _names(files: ShardFiles, members: list[Member]) -> list[Member]:
    """The same members with the names that they would have if they were complete and in order."""
    keys = sorted({member.name.partition(".")[0] for member in members})
    ours = [key for key in keys if key.startswith(f"{files.stem}-")]
    names = [f"{key}.{extension}" for key in ours for extension in _EXTENSIONS]
    return [Member(name, m.offset, m.size) for name, m in zip(names, members, strict=False)]


def _compare(shard: str, found: list[Member], expected: list[Member]) -> Iterator[Problem]:
    if found == expected:
        return
    both = min(len(found), len(expected))
    place = next((i for i in range(both) if found[i] != expected[i]), both)
    known = found if place < len(found) else expected
    member = known[place]
    what = f"from {member.name} on, the tar does not hold the members that it should, in their order"
    yield Problem(shard, what, member.name.partition(".")[0], member.offset)


def _key_at(samples: list[Row], offset: int) -> str:
    """The sample whose members surround a place in the tar."""
    before = [row["key"] for row in samples if row["jpg_offset"] - 512 <= offset]
    return before[-1] if before else ""


def _check_sample(shard: str, stream: BinaryIO, row: Row, extra: pa.Schema, deep: bool) -> Iterator[Problem]:
    try:
        members = {e: _content(stream, row[f"{e}_offset"], row[f"{e}_size"]) for e in _EXTENSIONS}
        for extension, offset, what in check_sample(row, extra, members, deep):
            yield Problem(shard, what, row["key"], row[f"{extension}_offset"] + offset)
    except Exception as error:
        yield Problem(shard, f"the sample cannot be checked: {error!r}", row["key"])


def _content(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(size)
