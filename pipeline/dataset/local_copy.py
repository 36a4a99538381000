# SPDX-License-Identifier: Apache-2.0
"""A shard's files on this machine: a check reads them in small pieces, each of which would be a request."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stages.shard.files import ShardFiles
from stages.shard.place import Place
from stages.shard.remote_path import RemotePath

_PIECE = 8 << 20
"""Bytes fetched at a time."""


@contextmanager
def local_copy(files: ShardFiles) -> Iterator[ShardFiles]:
    """The shard itself if it is on this machine, else copies of the files that are there, for a while.

    Raises:
        OSError: the store cannot be read, or the temporary folder is full.
    """
    if isinstance(files.folder, Path):
        yield files
        return
    with tempfile.TemporaryDirectory() as folder:
        near = Path(folder) / files.folder.name
        near.mkdir()
        for path in (files.tar, files.parquet, files.stats):
            with suppress(FileNotFoundError):
                _fetch(path, near / path.name)
        yield ShardFiles(near, files.number)


def _fetch(path: Place, to: Path) -> None:
    assert isinstance(path, RemotePath)
    with path.filesystem.open_input_stream(path.key) as stream, to.open("wb") as copy:
        shutil.copyfileobj(stream, copy, _PIECE)
