# SPDX-License-Identifier: Apache-2.0
"""Where pictures are: a path or URI that people type, as a filesystem, a folder and perhaps a pattern."""

import os
import posixpath
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

import pyarrow as pa
from braceexpand import braceexpand
from pyarrow import fs

from pipeline.errors import UserError
from stages.shard.place import Place
from stages.shard.uri import is_uri, open_uri, plain_name

_MAGIC = re.compile(r"[*{]")


@dataclass(frozen=True)
class Location:
    """A folder on any filesystem; everything below it is named by a path with forward slashes."""

    filesystem: fs.FileSystem
    root: str
    """The folder as the filesystem calls it."""
    uri: str
    """The same folder for the record: no credentials, no query, no slash at the end."""
    pattern: str | None = None
    """Only these files: `*` stands for anything but a slash, `{a,b}` and `{00..99}` for alternatives."""

    @property
    def name(self) -> str:
        """What to give as input to get here again; credentials are left out."""
        base = self.root if isinstance(self.filesystem, fs.LocalFileSystem) else self.uri
        return f"{base}/{self.pattern}" if self.pattern else base

    def local_folder(self) -> Path | None:
        """The folder on this machine, links resolved; None if it is elsewhere."""
        return Path(self.root).resolve() if isinstance(self.filesystem, fs.LocalFileSystem) else None

    def holds(self, other: Place) -> bool:
        """Whether a place is this folder, or lies in it."""
        folder = self.local_folder()
        if isinstance(other, Path):
            return folder is not None and other.resolve().is_relative_to(folder)
        root = self.root.rstrip("/")
        return other.filesystem == self.filesystem and (other.key == root or other.key.startswith(f"{root}/"))

    def uri_of(self, path: str) -> str:
        """URI of a percent-encoded path below the folder."""
        return f"{self.uri}/{path}"

    def open(self, path: str) -> pa.NativeFile:
        """Open a percent-encoded path below the folder for random access.

        Raises:
            OSError: it is not there, may not be read, or is a pipe or the like, which may never end.
        """
        below = unquote_to_bytes(path)
        # Bytes, because a local name need not be UTF-8.
        name = posixpath.join(self.root.encode("utf-8", "surrogateescape"), below)
        if isinstance(self.filesystem, fs.LocalFileSystem) and not stat.S_ISREG(os.stat(name).st_mode):
            raise OSError(f"not a regular file: {name.decode('utf-8', 'backslashreplace')}")
        return self.filesystem.open_input_file(name)

    def wanted(self) -> list[str]:
        """The pattern with its braces expanded."""
        try:
            return list(braceexpand(self.pattern)) if self.pattern else []
        except ValueError as error:
            raise UserError(f"bad pattern {self.pattern!r}: {error}; close every brace") from error

    def matcher(self) -> Callable[[str], bool]:
        """A test for paths below the folder: are they meant?"""
        wanted = self.wanted()
        literal = {name for name in wanted if "*" not in name}
        globs = ["[^/]*".join(map(re.escape, name.split("*"))) for name in wanted if "*" in name]
        regex = re.compile("|".join(globs)) if globs else None
        return lambda path: (
            not wanted or path in literal or (regex is not None and bool(regex.fullmatch(path)))
        )


def encoded(path: str) -> str:
    """A path in percent-encoding: plain text, even where a local name is not UTF-8."""
    return quote(path.encode("utf-8", "surrogateescape"))


def locate(text: str) -> Location:
    """Understand a local path or URI of a folder, a file, or a pattern of files.

    Raises:
        UserError: the name is empty, nothing is there, or no filesystem knows such a URI.
    """
    if not text.strip():
        raise UserError("the input's name is empty; give a folder, a .tar or a .parquet file")
    remote = is_uri(text)
    path, mark, query = text.partition("?") if remote else (text, "", "")
    magic = _MAGIC.search(path)
    # On this machine a name may have braces or stars of its own; in a URI they would be percent-encoded.
    if magic and (remote or not os.path.exists(os.path.expanduser(text))):
        place = _below(path, path.rfind("/", 0, magic.start()), mark + query)
        kind = _look(place)
    else:
        kind = _look(place := _folder(text))
        if kind == fs.FileType.File:
            return _below(path.rstrip("/"), path.rstrip("/").rfind("/"), mark + query)
    if kind != fs.FileType.Directory:
        raise UserError(f"input {place.uri!r}: nothing is there; give a folder, a .tar or a .parquet file")
    return place


def _below(path: str, slash: int, query: str) -> Location:
    above, pattern = path[: slash + 1], path[slash + 1 :]
    folder = _folder((above.rstrip("/") or above or ".") + query)
    return replace(folder, pattern=unquote(pattern) if "://" in path else pattern)


def _folder(text: str) -> Location:
    if not is_uri(text):
        root = os.path.abspath(os.path.expanduser(text))
        return Location(fs.LocalFileSystem(), root, "file://" + quote(os.fsencode(root)).rstrip("/"))
    try:
        filesystem, root = open_uri(text)
    except ValueError as error:
        raise UserError(f"input {error}") from error
    return Location(filesystem, root, plain_name(text))


def _look(place: Location) -> fs.FileType:
    try:
        return place.filesystem.get_file_info(place.root).type
    except (OSError, ValueError) as error:
        raise UserError(
            f"input {place.uri!r} cannot be reached: {error}; check address and access"
        ) from error
