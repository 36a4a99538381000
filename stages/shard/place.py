# SPDX-License-Identifier: Apache-2.0
"""Where a dataset is: a folder of this machine, or a prefix in an object store, used alike."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import pyarrow.parquet as pq
from pyarrow import fs

from stages.shard.remote_path import RemotePath
from stages.shard.uri import is_uri, open_uri, plain_name

_AT_A_TIME = 16
_WINDOW = 256
"""Results of small requests that are held at most."""
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

Place = Path | RemotePath


def place(text: str) -> Place:
    """Understand a local path, a `file://` URI, or any other URI that `pyarrow.fs` knows.

    Raises:
        ValueError: no filesystem knows such a URI, or it names no bucket; one sentence.
    """
    if not is_uri(text):
        return Path(text)
    filesystem, key = open_uri(text)
    if isinstance(filesystem, fs.LocalFileSystem):
        return Path(key)
    key, name = key.rstrip("/"), plain_name(text)
    if not key:
        raise ValueError(f"{name!r} names no bucket; give for instance s3://bucket/folder")
    shown = unquote(name)
    prefix = shown.removesuffix(key) if shown.endswith(key) else f"{name.partition('://')[0]}://"
    return RemotePath(filesystem, key, prefix, text)


def below(path: Place, root: Place) -> str:
    """What of a path comes after `root`, with forward slashes; ValueError if it is not below it."""
    return type(path).relative_to(path, root).as_posix()  # pyright: ignore[reportArgumentType]


def address(path: Place) -> str:
    """The text from which `place` makes this path again, in any process; may hold credentials.

    Raises:
        ValueError: the path is remote and was not made by `place`.
    """
    if isinstance(path, RemotePath) and not path.typed:
        raise ValueError(f"{path} was not opened by a URI")
    return path.typed if isinstance(path, RemotePath) else str(path)


def open_parquet(path: Place) -> pq.ParquetFile:
    """Open a parquet file wherever it is; of a remote one, what is read together is fetched together.

    Never from a stream of Python's: Arrow reads ahead in threads of its own, which then hold the stream, and
    one that gives it back while the interpreter ends aborts the process.
    """
    if isinstance(path, Path):
        return pq.ParquetFile(path, page_checksum_verification=True)
    return pq.ParquetFile(path.open(), pre_buffer=True, page_checksum_verification=True)


def file_names(folder: Place) -> list[str]:
    """The files of a folder, in one listing; none if it is not there. Pipes and the like are none."""
    if isinstance(folder, RemotePath):
        return [info.base_name for info in folder.listing() if info.type == fs.FileType.File]
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if Path(entry).is_file()]


def file_sizes(folder: Place) -> dict[str, int]:
    """The files of a folder with their sizes in bytes, in one listing; none if it is not there."""
    if isinstance(folder, RemotePath):
        return {info.base_name: info.size for info in folder.listing() if info.type == fs.FileType.File}
    if not folder.is_dir():
        return {}
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}


def in_order(root: Place, work: Callable[[_Given], _Made], items: Iterable[_Given]) -> Iterator[_Made]:
    """`map`, for work that reads one small file of a dataset: several at a time where each is a request."""
    if isinstance(root, Path):
        yield from map(work, items)
        return
    items = iter(items)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        while window := [*islice(items, _WINDOW)]:
            yield from pool.map(work, window)
