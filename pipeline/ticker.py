# SPDX-License-Identifier: Apache-2.0
"""Something done again and again while a program waits for something else."""

import threading
from collections.abc import Callable


class Ticker:
    """Calls a function at regular intervals, in a thread of its own, until the `with` block ends."""

    def __init__(self, interval: float, tick: Callable[[], object]) -> None:
        """Nothing happens before the block begins.

        Args:
            interval: seconds from one call to the next, and to the first.
            tick: runs beside the block, never after it.
        """
        self._interval = interval
        self._tick = tick
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            self._tick()
