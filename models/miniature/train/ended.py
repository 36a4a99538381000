# SPDX-License-Identifier: Apache-2.0
"""How a training ends before its last step, and how processes that it has started end with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LOOK = 1.0
"""Seconds between looks at a parent."""


class Ended(Exception):
    """Somebody asked for an end; everything up to a step is saved."""


class Asked:
    """Whether somebody has asked for an end."""

    def __init__(self) -> None:
        self.yes = False


@contextmanager
def listening() -> Iterator[Asked]:
    """SIGTERM and SIGINT ask for an end instead of making one; a second one ends at once.

    Off the main thread, where signals do not come, nobody asks.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGINT)}

    def heard(kind: int, _frame: object) -> None:
        asked.yes = True
        signal.signal(kind, signal.SIG_DFL)

    for kind in before:
        signal.signal(kind, heard)
    try:
        yield asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def end_with(parent: int) -> None:
    """In a process of a pool: end when its maker does, who cannot say so if it is killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
