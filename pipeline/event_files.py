# SPDX-License-Identifier: Apache-2.0
"""Lines kept in files: by appending, or, where a place cannot, by writing files again and again."""

import errno
import os
from pathlib import Path
from typing import ClassVar

from stages.shard.commit import replace
from stages.shard.place import Place

_PART = 1 << 20
"""Bytes after which a new file begins where each is written as a whole."""


class AppendedFile:
    """One file of all runs; a line is in it once it is added."""

    later: ClassVar = False
    """Whether what was added is written only by `keep`."""

    def __init__(self, place: Path) -> None:
        """Nothing is done before the first line."""
        self.place = place

    def began_before(self) -> bool:
        """Whether there is a line."""
        return self.place.is_file()

    def add(self, line: bytes) -> None:
        """Append a line, which ends with a line break, in one step; one that was cut off before it is ended.

        Raises:
            OSError: if it cannot be written, or not as a whole.
        """
        self.place.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.place, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(handle).st_size
            # A crash, or a full disk, may have cut the last line off.
            whole = not size or os.pread(handle, 1, size - 1) == b"\n"
            line = line if whole else b"\n" + line
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)

    def keep(self) -> None:
        """Nothing is left to write."""


class RewrittenFiles:
    """`FOLDER/NAME-NUMBER.jsonl` of one run, the last of them in memory."""

    later: ClassVar = True
    """Whether what was added is written only by `keep`."""

    def __init__(self, folder: Place, name: str) -> None:
        """Nothing is done before the first line."""
        self._folder, self._name = folder, name
        self._part = 0
        self._lines: list[bytes] = []
        self._written = 0

    @property
    def place(self) -> Place:
        """The file that is written next."""
        return self._folder / f"{self._name}-{self._part:04d}.jsonl"

    def began_before(self) -> bool:
        """Whether there is a file of any run."""
        return self._folder.is_dir()

    def add(self, line: bytes) -> None:
        """Remember a line, which ends with a line break."""
        self._lines.append(line)

    def keep(self) -> None:
        """Write what is new; it is tried again the next time if that fails.

        Raises:
            OSError: if it cannot be written.
        """
        if len(self._lines) == self._written:
            return
        replace(self.place, b"".join(self._lines))
        self._written = len(self._lines)
        if sum(map(len, self._lines)) > _PART:
            self._part, self._lines, self._written = self._part + 1, [], 0
