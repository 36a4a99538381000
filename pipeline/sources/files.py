# SPDX-License-Identifier: Apache-2.0
"""The files below a location, folder by folder; hidden ones do not exist."""

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pyarrow import fs

from pipeline.errors import UserError
from pipeline.sources.location import Location
from pipeline.wording import counted


@dataclass(frozen=True, slots=True)
class File:
    """A file below a location. `problem` says why it must not be opened."""

    path: str
    size: int
    problem: str | None = None


def walk(place: Location) -> Iterator[list[File]]:
    """The wanted files of each folder, sorted, from the top down. Links are followed, loops are not.

    Raises:
        UserError: a folder cannot be listed.
    """
    matches = place.matcher()
    deepest = max((name.count("/") for name in place.wanted()), default=None)
    for files in _below(place, "", deepest, (_identity(place),)):
        yield [file for file in files if matches(file.path)]


def files(place: Location, suffixes: tuple[str, ...]) -> tuple[list[File], int]:
    """Every wanted file that ends in one of `suffixes` (any letter case), and how many end in something else.

    Raises:
        UserError: a folder cannot be listed, or a file that was asked for by name is missing.
    """
    everything = [file for folder in walk(place) for file in folder]
    found = {file.path for file in everything}
    missing = [name for name in place.wanted() if "*" not in name and name not in found]
    if missing:
        count = counted(len(missing), "missing file")
        raise UserError(f"input {place.uri!r}: {count}, the first is {missing[0]!r}; correct the pattern")
    chosen = [file for file in everything if file.path.lower().endswith(suffixes)]
    return chosen, len(everything) - len(chosen)


def _identity(place: Location) -> object:
    if not isinstance(place.filesystem, fs.LocalFileSystem) or not os.path.exists(place.root):
        return None
    status = os.stat(place.root)
    return status.st_dev, status.st_ino


def _below(
    place: Location, folder: str, deepest: int | None, above: tuple[object, ...]
) -> Iterator[list[File]]:
    try:
        local = isinstance(place.filesystem, fs.LocalFileSystem)
        folders, found = (_local if local else _remote)(place, folder)
    except (OSError, ValueError) as error:
        where = f"{place.uri}/{folder}".rstrip("/")
        raise UserError(f"input {where!r} cannot be listed: {error}; mend it or move it away") from error
    yield sorted(found, key=lambda file: file.path)
    if deepest is not None and folder.count("/") + bool(folder) >= deepest:
        return
    for name, identity in sorted(folders.items()):
        if identity is None or identity not in above:
            yield from _below(place, name, deepest, (*above, identity))


def _local(place: Location, folder: str) -> tuple[dict[str, object], list[File]]:
    folders: dict[str, object] = {}
    found: list[File] = []
    with os.scandir(os.path.join(place.root, folder)) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = posixpath.join(folder, entry.name)
            try:
                status = entry.stat()
            except OSError as error:
                found.append(File(path, 0, os.strerror(error.errno or 0)))
                continue
            if stat.S_ISDIR(status.st_mode):
                folders[path] = (status.st_dev, status.st_ino)
            else:
                regular = stat.S_ISREG(status.st_mode)
                found.append(File(path, status.st_size, None if regular else "not a regular file"))
    return folders, found


def _remote(place: Location, folder: str) -> tuple[dict[str, object], list[File]]:
    selector = fs.FileSelector(posixpath.join(place.root, folder) if folder else place.root)
    entries = [entry for entry in place.filesystem.get_file_info(selector) if entry.base_name[:1] != "."]
    folders: dict[str, object] = {
        posixpath.join(folder, entry.base_name): None
        for entry in entries
        if entry.type == fs.FileType.Directory
    }
    found = [
        File(posixpath.join(folder, entry.base_name), entry.size or 0)
        for entry in entries
        if entry.type != fs.FileType.Directory
    ]
    return folders, found
