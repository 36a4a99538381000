# SPDX-License-Identifier: Apache-2.0
"""A shard's tar read block by block, without trust in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_BLOCK = 512
_RECORD = 20 * _BLOCK
_PLAIN_USTAR = b"0" + bytes(100) + b"ustar\x0000"


@dataclass(frozen=True, slots=True)
class Member:
    """A member's name, and where its content is, in bytes."""

    name: str
    offset: int
    size: int


class TarDamageError(Exception):
    """The tar is not one that the writer writes."""

    def __init__(self, offset: int, what: str) -> None:
        """Say what is wrong, and from which byte on."""
        super().__init__(what)
        self.offset = offset


def walk_tar(stream: BinaryIO, size: int) -> Iterator[Member]:
    """All members of a tar of `size` bytes, in order.

    Raises:
        TarDamageError: at the first byte range that has no place in a plain USTAR, its end included.
    """
    position = 0
    while any(header := _read(stream, position, _BLOCK)):
        member = _member(header, position)
        after = member.offset + member.size
        position = after + -after % _BLOCK
        if position > size:
            raise TarDamageError(after - member.size, f"{member.name} goes on after the end of the file")
        if any(_read(stream, after, position - after)):
            raise TarDamageError(after, f"the padding after {member.name} is not empty")
        yield member
    end = position + 2 * _BLOCK
    if size != end + -end % _RECORD or any(_read(stream, position, size - position)):
        raise TarDamageError(position, "the end of the archive is not the two empty blocks and their padding")


def _read(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    content = stream.read(size)
    if len(content) != size:
        raise TarDamageError(offset, "the file ends in the middle of the archive")
    return content


def _member(header: bytes, position: int) -> Member:
    unsigned = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
    if header[148:156] != f"{unsigned:06o}\0 ".encode():
        raise TarDamageError(position, "a member's header does not match its checksum")
    if header[156:265] != _PLAIN_USTAR:
        raise TarDamageError(position, "a member is not a plain file of a USTAR archive")
    name, size = header[:100].rstrip(b"\0"), header[124:135]
    if not (name.isascii() and size.isdigit() and size.translate(None, b"89") == size):
        raise TarDamageError(position, "a member's name or size is unreadable")
    return Member(name.decode(), position + _BLOCK, int(size, 8))
