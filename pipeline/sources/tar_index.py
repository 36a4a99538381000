# SPDX-License-Identifier: Apache-2.0
"""The samples of a tar and where their bytes lie, from its headers alone."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.sources.base import IMAGE_EXTENSIONS, Member, printable


@dataclass
class TarIndex:
    """What a tar holds. `samples` are (key, members) in the order of their first member, repeats included;
    `broken` says where and why reading had to stop, if it had to."""

    samples: list[tuple[str, tuple[Member, ...]]] = field(default_factory=list)
    broken: str | None = None


def index_tar(file: io.IOBase, size: int) -> TarIndex:
    """Group the members of a tar by name up to the first dot, as webdataset does, consecutive or not.

    Where this leaves a sample without a picture although it has some under longer names (`a.v1.jpg`,
    `a.v2.jpg`), the names were not made for that rule: such members go by name up to the last dot.

    Args:
        file: seekable and readable, at its beginning.
        size: of the file, in bytes.
    """
    index, groups = TarIndex(), _Groups()
    try:
        for name, member in _members(file, size):
            groups.add(name, member)
    except Exception as error:  # damaged headers raise anything, far down in tarfile
        index.broken = (str(error).strip().splitlines() or [type(error).__name__])[0]
    split = (part for key, members in groups.samples for part in _by_last_dot(key, members))
    index.samples = [(key, tuple(members.values())) for key, members in split]
    return index


def _by_last_dot(key: str, members: dict[str, Member]) -> Iterator[tuple[str, dict[str, Member]]]:
    dotted = [ext for ext in members if "." in ext and ext.rpartition(".")[2] in IMAGE_EXTENSIONS]
    if not dotted or any(ext in IMAGE_EXTENSIONS for ext in members):
        yield key, members
        return
    groups = _Groups()
    for ext, member in members.items():
        middle, dot, last = ext.rpartition(".")
        groups.put(key + "." * bool(dot) + middle, replace(member, ext=last))
    yield from groups.samples


class _Groups:
    """Members by key. A second member with the same key and extension begins another sample."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, dict[str, Member]]] = []
        self._latest: dict[str, dict[str, Member]] = {}

    def add(self, name: str, member: Member) -> None:
        folder, slash, base = name.rpartition("/")
        self.put(folder + slash + base.partition(".")[0], member)

    def put(self, key: str, member: Member) -> None:
        if member.ext in self._latest.get(key, {member.ext: None}):
            self._latest[key] = {}
            self.samples.append((key, self._latest[key]))
        self._latest[key][member.ext] = member


def _members(file: io.IOBase, size: int) -> Iterator[tuple[str, Member]]:
    for info in _headers(file, size):
        if info.offset_data + info.size > size and not info.issparse():
            raise tarfile.ReadError(f"at byte {info.offset}: {printable(info.name)!r} is cut off")
        name = printable(info.name).removeprefix("./").lstrip("/")
        base = name.rpartition("/")[2]
        if info.isdir() or base.startswith(".") or not base:
            continue
        # A link holds no bytes of its own, a sparse file not all of them: either makes a sample without a
        # picture, rather than none.
        whole = info.isfile() and not info.issparse()
        extension = base.partition(".")[2].lower() if whole else ""
        yield name, Member(extension, info.offset_data, info.size)


class _Bounded:
    """A file that gives no more than 16 MiB at once: damaged headers claim any length, and room for all of it
    would be made before anything is read. The longest names and attributes have kilobytes."""

    def __init__(self, file: io.IOBase) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, count: int) -> bytes:
        return self._file.read(max(0, min(count, 1 << 24)))  # pyright: ignore[reportAttributeAccessIssue]


def _headers(file: io.IOBase, size: int) -> Iterator[tarfile.TarInfo]:
    offset = 0
    try:
        bounded: Any = _Bounded(file)
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            while (info := tar.next()) is not None:
                if info.size < 0 or tar.offset <= offset:  # it would be read over and over
                    raise tarfile.ReadError(f"{printable(info.name)!r} has a size below zero")
                yield info
                offset = tar.offset
                tar.members.clear()  # pyright: ignore[reportAttributeAccessIssue] - it would keep them all
    except tarfile.TarError as error:
        raise tarfile.ReadError(f"at byte {offset}: {error}") from error
    _check_end(file, offset, size)


def _check_end(file: io.IOBase, offset: int, size: int) -> None:
    """A damaged header, too, ends the iteration quietly; only zeros up to the file's end are a real end."""
    if offset >= size:
        raise tarfile.ReadError(f"at byte {size}: the mark of the archive's end is missing")
    file.seek(offset)
    while chunk := file.read(1 << 20):  # pyright: ignore[reportAttributeAccessIssue]
        if chunk.strip(b"\0"):
            raise tarfile.ReadError(f"at byte {offset}: not a valid header")
        offset += len(chunk)
