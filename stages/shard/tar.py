# SPDX-License-Identifier: Apache-2.0
"""A tar whose bytes depend on nothing but its members' names and contents."""

import tarfile
from typing import BinaryIO


class TarStream:
    """Writes an uncompressed USTAR: no owner, mode 0644, modified at the epoch."""

    def __init__(self, stream: BinaryIO) -> None:
        """Begin an archive in `stream`, which is empty and stays the caller's."""
        self._stream = stream
        self._offset = 0

    def add(self, name: str, content: bytes) -> int:
        """Append a member and return where its content begins, in bytes.

        Raises:
            ValueError: if the name does not fit the format.
        """
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        start = self._offset
        self._write(content)
        self._pad(tarfile.BLOCKSIZE)
        return start

    def close(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._pad(tarfile.RECORDSIZE)

    def _write(self, content: bytes) -> None:
        self._stream.write(content)
        self._offset += len(content)

    def _pad(self, size: int) -> None:
        self._write(bytes(-self._offset % size))
