# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, whatever kills their writer and whoever else writes them.

On a POSIX file system a file is filled under a hidden temporary name, which its writer holds locked: the
lock ends with the process, so what nobody holds is what a dead writer left over. In an object store, see
`stages.shard.store_commit`.
"""

import fcntl
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedRandom
from pathlib import Path

from stages.shard import store_commit
from stages.shard.place import Place
from stages.shard.remote_path import RemotePath

_DRAFT = re.compile(r"\.(.+)\.tmp-[0-9a-f]{12}")


def commit(
    paths: Sequence[Place], fill: Callable[..., object], guard: Callable[[], None] | None = None
) -> bool:
    """Make files of one folder appear; the last of them is the mark that all are there.

    Args:
        paths: the files, in the order in which they appear; in an object store, of `ROOT/data/SPLIT`.
        fill: gets an empty binary file for each of them and writes it.
        guard: called before the first of them appears, and again before the mark does; raises if this
            writer must not go on.

    Returns:
        False if the mark was there before, from whoever was faster; then nothing has changed.
    """
    guard = guard or _nobody
    if remote := [path for path in paths if isinstance(path, RemotePath)]:
        return store_commit.commit(remote, fill, guard)
    return _commit([path for path in paths if isinstance(path, Path)], fill, guard)


def _commit(paths: Sequence[Path], fill: Callable[..., object], guard: Callable[[], None]) -> bool:
    folder, mark = paths[0].parent, paths[-1]
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _alone_in(folder):
            _remove_leftovers(folder, [path.name for path in paths])
            if mark.is_file():
                return False
            drafts = [stack.enter_context(_draft(path)) for path in paths]
        fill(*drafts)
        for draft in drafts:
            _to_disk(draft)
        with _alone_in(folder):
            if mark.is_file():
                return False
            guard()
            # The mark must not reach the disk before what it vouches for.
            _rename(folder, drafts[:-1], paths[:-1])
            guard()
            _rename(folder, drafts[-1:], [mark])
    return True


def _nobody() -> None:
    """No other writer to be kept apart from."""


def replace(path: Place, content: bytes) -> None:
    """Write one file, over an old one if there is one; readers see the old one or the new one."""
    rewrite(path, lambda stream: stream.write(content))


def rewrite(path: Place, fill: Callable[[BufferedRandom], object]) -> None:
    """Like `replace`, for content that `fill` writes piece by piece."""
    if isinstance(path, RemotePath):
        store_commit.rewrite(path, fill)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _alone_in(path.parent):
            _remove_leftovers(path.parent, [path.name])
            draft = stack.enter_context(_draft(path))
        fill(draft)
        _to_disk(draft)
        _rename(path.parent, [draft], [path])


def remove_leftovers(folder: Place) -> None:
    """Remove what dead writers left in `folder`; in an object store nobody else may be writing there."""
    if isinstance(folder, RemotePath):
        store_commit.remove_leftovers(folder)
        return
    with _alone_in(folder):
        _remove_leftovers(folder)


def holds_only_drafts(folder: Place) -> bool:
    """Whether nothing below a folder is more than what dead writers left; of an object store nobody knows."""
    if isinstance(folder, RemotePath):
        return False
    return all(_DRAFT.fullmatch(name) for *_, files in os.walk(folder) for name in files)


@contextmanager
def _draft(path: Path) -> Iterator[BufferedRandom]:
    temporary = path.with_name(f".{path.name}.tmp-{uuid.uuid4().hex[:12]}")
    with temporary.open("x+b") as stream:
        # Where the file system has no locks, nothing is ever taken for left over.
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield stream
        finally:
            temporary.unlink(missing_ok=True)


def _to_disk(draft: BufferedRandom) -> None:
    draft.flush()
    os.fsync(draft.fileno())


def _rename(folder: Path, drafts: Sequence[BufferedRandom], paths: Sequence[Path]) -> None:
    for draft, path in zip(drafts, paths, strict=True):
        os.replace(draft.name, path)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Writers of one folder take turns at the few steps that must not mix."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_leftovers(folder: Path, names: Sequence[str] | None = None) -> None:
    for path in folder.iterdir():
        match = _DRAFT.fullmatch(path.name)
        if match and (names is None or match[1] in names) and _is_dead(path):
            path.unlink(missing_ok=True)


def _is_dead(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
