# SPDX-License-Identifier: Apache-2.0
"""A path in an object store, used as `pathlib.Path` is.

In an object store folders need not exist: every place can be written to, and listing a missing one
gives nothing.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import total_ordering
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Literal
from urllib.parse import quote

import pyarrow as pa
from pyarrow import fs


@total_ordering
@dataclass(frozen=True, eq=False)
class RemotePath:
    """An object, or the common beginning of objects' names, with the part of `pathlib.Path` that is used.

    Errors are those of `pathlib`: OSError, and FileNotFoundError for what is not there.
    """

    filesystem: fs.FileSystem = field(repr=False)
    key: str
    """What the filesystem calls it: parts with single slashes between them."""
    prefix: str = ""
    """What makes a URI of the key; the filesystem's own name if it is empty."""
    typed: str = field(default="", repr=False)
    """The URI that this was opened by, credentials included; paths derived from it have none."""

    def __str__(self) -> str:
        """Its URI, for people and records: without credentials and options."""
        return (self.prefix or f"{self.filesystem.type_name}://") + quote(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.key == other.key and self.filesystem == other.filesystem

    def __hash__(self) -> int:
        return hash((self.filesystem.type_name, self.key))

    def __lt__(self, other: "RemotePath") -> bool:
        return self.key < other.key

    def __truediv__(self, name: str | PurePosixPath) -> "RemotePath":
        return self._at(posixpath.join(self.key, str(name)))

    @property
    def name(self) -> str:
        """The last part."""
        return posixpath.basename(self.key)

    @property
    def stem(self) -> str:
        """The last part without its extension."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The extension, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "RemotePath":
        """All but the last part."""
        return self._at(posixpath.dirname(self.key))

    def with_name(self, name: str) -> "RemotePath":
        """Another last part."""
        return self.parent / name

    def relative_to(self, other: "RemotePath") -> PurePosixPath:
        """The parts after those of `other`; ValueError if it does not begin with them."""
        return PurePosixPath(self.key).relative_to(other.key)

    def resolve(self) -> "RemotePath":
        """Itself: there are no links."""
        return self

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: there are no folders to make."""

    def iterdir(self) -> "Iterator[RemotePath]":
        """What is directly below, in one listing; nothing if nothing is there."""
        return (self / info.base_name for info in self.listing())

    def glob(self, pattern: str) -> "Iterator[RemotePath]":
        """What is below with names like the pattern's parts, one listing for every folder on the way."""
        first, _, rest = pattern.partition("/")
        for info in self.listing():
            if fnmatchcase(info.base_name, first):
                below = self / info.base_name
                folder = info.type == fs.FileType.Directory
                yield from (below.glob(rest) if folder else ()) if rest else (below,)

    def listing(self) -> list[fs.FileInfo]:
        """What is directly below, with types and sizes, in one request."""
        return self.filesystem.get_file_info(fs.FileSelector(self.key, allow_not_found=True))

    def exists(self) -> bool:
        """Whether there is an object of this name, or one that begins with it and a slash."""
        return self._info().type != fs.FileType.NotFound

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return self._info().type == fs.FileType.File

    def is_dir(self) -> bool:
        """Whether there is anything below."""
        return self._info().type == fs.FileType.Directory

    def is_symlink(self) -> bool:
        """A store has no links."""
        return False

    def stat(self) -> SimpleNamespace:
        """`st_size`, in bytes."""
        info = self._info()
        if info.type != fs.FileType.File:
            raise FileNotFoundError(f"{self} does not exist")
        return SimpleNamespace(st_size=info.size)

    def open(self, mode: Literal["rb"] = "rb") -> pa.NativeFile:
        """Open for reading anywhere in it; every read is a request."""
        return self.filesystem.open_input_file(self.key)

    def read_bytes(self) -> bytes:
        """All of it."""
        with self.filesystem.open_input_stream(self.key) as stream:
            return stream.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of it, decoded."""
        return self.read_bytes().decode(encoding)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        try:
            self.filesystem.delete_file(self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def _at(self, key: str) -> "RemotePath":
        return RemotePath(self.filesystem, key, self.prefix)

    def _info(self) -> fs.FileInfo:
        return self.filesystem.get_file_info(self.key)
