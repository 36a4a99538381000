# SPDX-License-Identifier: Apache-2.0
"""How a run gets an output folder that may be another's.

Clocks are never compared. A holder that cannot be seen from here is alive if its lease changes while we
look; looks are counted, so that a pause of ours is not taken for its silence.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pipeline.errors import UserError
from pipeline.holder import holder_of, this_process
from stages.shard.commit import replace
from stages.shard.fence import lease_content, lease_fields, lease_path
from stages.shard.place import Place

_TRIES = 100
_LOOKS = 30
_TURNS = 200
"""Tries to get the lock, which others hold for a few file operations."""
_TURN = 0.05
"""Seconds from one to the next."""


def take_folder(
    root: Place, content: bytes, patience: float, settle: float, tell: Callable[[str], object]
) -> None:
    """Write a lease of our own with this content; the arguments are those of `pipeline.lease.Lease.take`.

    Raises:
        UserError: if another run has the folder.
        OSError: if it cannot be written to, or if others are always faster.
    """
    silent = None
    for _ in range(_TRIES):
        with alone_in(root) as alone:
            found = lease_content(root)
            written = _written(root, found, silent, content)
        # Whoever is on this machine was kept out by the lock, and others would have to watch first.
        if written == "alone" or (written == "after the end of another" and alone):
            return
        if written:
            time.sleep(settle)
            if lease_content(root) == content:
                return
        elif found is not None:
            silent = _watched(root, found, patience, tell)
    raise TimeoutError("others keep taking it")


def _written(
    root: Place, found: bytes | None, silent: bytes | None, content: bytes
) -> Literal["alone", "after the end of another", "perhaps with others", False]:
    """Write our lease unless the run of `found` may be alive; says how sure it is."""
    if found is None and isinstance(root, Path):
        return "alone" if _created(root / "_meta" / lease_path(root).name, content) else False
    ended = found is not None and _has_ended(root, found)
    if not (ended or found is None or found == silent):
        return False
    replace(lease_path(root), content)
    return "after the end of another" if ended else "perhaps with others"


@contextmanager
def alone_in(root: Place) -> Iterator[bool]:
    """Runs take turns at the steps that read and write the lease; yields whether the file system sees to it.

    Raises:
        TimeoutError: if somebody else does not end its turn.
        OSError: if the folder cannot be made.
    """
    if not isinstance(root, Path):
        yield False
        return
    # What is there and is no folder is better told by the steps that follow.
    with suppress(FileExistsError):
        root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY)
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    for _ in range(_TURNS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TURN)
        except OSError:
            return False
        else:
            return True
    raise TimeoutError("another process has it locked")


def _created(path: Path, content: bytes) -> bool:
    """Write a file that is not there; False if it is, whoever made it first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        stream = path.open("xb")
    except FileExistsError:
        return False
    try:
        with stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    return True


def _has_ended(root: Place, content: bytes) -> bool:
    fields = lease_fields(content) or {}
    holder = holder_of(fields)
    running = holder.is_running() if holder else None
    if running:
        raise _in_use(root, content)
    return running is False


def _watched(root: Place, content: bytes, patience: float, tell: Callable[[str], object]) -> bytes | None:
    """The lease's content if it stays as it is for `patience`, None if another one takes its place.

    Raises:
        UserError: if its holder is alive.
    """
    tell(f"{root} belongs to {_who(content)}; watching for {patience:.0f} s whether it still works")
    for _ in range(_LOOKS):
        time.sleep(patience / _LOOKS)
        now = lease_content(root)
        if now == content:
            continue
        fields, before = lease_fields(now or b""), lease_fields(content)
        if now is None or (fields and before and fields["token"] != before["token"]):
            return None
        raise _in_use(root, now)
    return content


def at_work(root: Place) -> str | None:
    """Who writes into a folder, for people; None if nobody does, or if whoever did has ended.

    A lease that cannot be read is nobody's.
    """
    try:
        content = lease_content(root)
    except OSError:
        return None
    holder = holder_of(lease_fields(content or b"") or {})
    return None if content is None or (holder and holder.is_running() is False) else _who(content)


@contextmanager
def naming_who_writes(root: Place) -> Iterator[None]:
    """For reading before the lease is had: what is wrong there may be another run's work in hand.

    Raises:
        UserError: the one that was raised inside, with whoever writes there named.
    """
    try:
        yield
    except UserError as error:
        who = at_work(root)
        if who is None or holder_of(lease_fields(lease_content(root) or b"") or {}) == this_process():
            raise
        raise UserError(f"{error}; or wait: {root} is being written by {who}") from error


def _in_use(root: Place, content: bytes) -> UserError:
    return UserError(
        f"{root} is being written by {_who(content)}; wait for it, stop it, or give another --output"
    )


def _who(content: bytes) -> str:
    fields = lease_fields(content)
    if not fields:
        return "a run whose _meta/lease.json is damaged"
    names = {name: str(fields.get(name, "?"))[:80].replace("\n", " ") for name in ("host", "pid", "started")}
    return f"another run (host {names['host']}, process {names['pid']}, since {names['started']})"
