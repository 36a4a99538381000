# SPDX-License-Identifier: Apache-2.0
"""Subjects learnt once and kept, however many processes ask for them."""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.consistency.state import State

_SECONDS = "learned.json"


def learned(folder: Path, learn: Callable[[], State]) -> tuple[State, float]:
    """What is kept of a subject; it is learnt first where nothing is, by one process while others wait.

    Args:
        folder: of the state, made here; it is there as a whole or not at all.
        learn: the subject.

    Returns:
        The state, and how many seconds it took to learn, then.

    Raises:
        BadState: what is kept is damaged.
        OSError: the folder cannot be written to.
    """
    with _alone(folder.with_name(f".{folder.name}.lock")):
        if not (folder / _SECONDS).is_file():
            began = time.perf_counter()
            state = learn()
            seconds = time.perf_counter() - began
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            state.save(partial)
            (partial / _SECONDS).write_text(json.dumps({"seconds": seconds}) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    # Read by whoever learnt it too, so that all draw with the same.
    return State.load(folder), float(json.loads((folder / _SECONDS).read_text())["seconds"])


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
