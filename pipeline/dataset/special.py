# SPDX-License-Identifier: Apache-2.0
"""Pipes, sockets and devices among a dataset's files: whoever opens one may wait for ever; and folders
where files have to be."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.dataset.layout import meta_folder
from pipeline.errors import UserError
from stages.shard.place import Place

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_FOLDERS = ("source", "timings", "events", "inflight", "intents", "subjects")


def special_files(root: Place, *names: str) -> Iterator[tuple[Path, str]]:
    """What below folders of `root` is neither file nor folder, and what it is; an object store has none."""
    if not isinstance(root, Path):
        return
    for folder, _, files in (entry for name in names for entry in os.walk(root / name)):
        for path in (Path(folder, file) for file in sorted(files)):
            if not path.is_file() and (kind := _kind(path)):
                yield path, kind


def refuse_special(root: Place, *names: str) -> None:
    """See that what is known of a build can be read, and what is in other folders.

    Raises:
        UserError: naming what cannot.
    """
    for path, kind in special_files(root, meta_folder(root).name, *names):
        raise UserError(f"{path} is {kind}, no file; remove it")
    meta = meta_folder(root)
    for path in sorted(meta.iterdir()) if isinstance(meta, Path) and meta.is_dir() else ():
        if path.is_dir() and path.suffix:
            raise UserError(f"{path} is a folder, no file; move it away")
        if path.is_file() and path.name in _FOLDERS:
            raise UserError(f"{path} is a file, no folder; move it away")


def _kind(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), None)
