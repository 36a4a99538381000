# SPDX-License-Identifier: Apache-2.0
"""Subjects learnt once and kept, however many processes ask for them."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from math import isfinite
from pathlib import Path

from models.consistency.state import BadState, State

_ABOUT = "learned.json"


def learned(folder: Path, learn: Callable[[], State]) -> tuple[State, float]:
    """What is kept of a subject; it is learnt first where nothing is, by one process while others wait.

    What is kept has the digests of its files beside it: what is damaged is learnt again.

    Args:
        folder: of the state, made here; it is there as a whole or not at all.
        learn: the subject.

    Returns:
        The state, and how many seconds it took to learn, then.

    Raises:
        BadState: what has just been written is damaged.
        OSError: the folder cannot be written to.
    """
    with _alone(folder.with_name(f".{folder.name}.lock")):
        try:
            return _kept(folder)
        except BadState:
            _keep(folder, learn)
        # Read by whoever learnt it too, so that all draw with the same.
        return _kept(folder)


def _keep(folder: Path, learn: Callable[[], State]) -> None:
    began = time.perf_counter()
    state = learn()
    seconds = time.perf_counter() - began
    partial = folder.with_name(f".{folder.name}.partial")
    _remove(partial)
    state.save(partial)
    (partial / _ABOUT).write_text(json.dumps({"seconds": seconds, "sha256": _digests(partial)}) + "\n")
    _remove(folder)
    partial.rename(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _kept(folder: Path) -> tuple[State, float]:
    try:
        about = json.loads((folder / _ABOUT).read_bytes())
        seconds, digests = float(about["seconds"]), about["sha256"]
        if not isfinite(seconds):
            raise ValueError(f"it took {seconds} seconds")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadState(f"{folder} holds nothing that was learnt: {error}") from error
    if _digests(folder) != digests:
        raise BadState(f"{folder} is not as it was written")
    return State.load(folder), seconds


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file but the one that they are kept in."""
    found = {}
    for path in sorted(each for each in folder.iterdir() if each.name != _ABOUT and each.is_file()):
        with path.open("rb") as file:
            found[path.name] = file_digest(file, "sha256").hexdigest()
    return found


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process, on any machine with this file system, is in here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
