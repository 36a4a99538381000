# SPDX-License-Identifier: Apache-2.0
"""How a run ends before its work does: on SIGTERM within a grace period, or because nothing moves."""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

BY_SIGTERM = "stopped by SIGTERM"
_HARD_EXIT = 5.0
"""Seconds that cleaning up may take before the process ends all the same."""


class Stopped(BaseException):
    """The run ends now; as with KeyboardInterrupt, nobody may handle it on the way."""

    def __init__(self, reason: str, code: int) -> None:
        """`reason` is for people, `code` is the exit code."""
        super().__init__(reason)
        self.code = code


class Stopper:
    """Listens for SIGTERM while its `with` block runs.

    With `gently` set, the first SIGTERM calls it and lets shards in hand be finished; when the grace
    period is over, at a second SIGTERM, or at once without `gently`, `Stopped` is raised in the main thread.
    """

    def __init__(self, grace: float) -> None:
        """`grace` is in seconds."""
        self.gently: Callable[[], object] | None = None
        """What tells everyone to begin nothing new."""
        self.asked = False
        """Whether somebody has asked for an end."""
        self._grace = grace
        self._end: tuple[str, int] = (BY_SIGTERM, 0)
        self._now = False
        self._raised = False
        self._timers: list[threading.Timer] = []
        self._before = signal.SIG_DFL

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGTERM)
        self.listen()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        ended, self._raised = self._raised, True
        for timer in self._timers:
            timer.cancel()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)
        # Compiled code in which `Stopped` was raised may have made a SystemError of it.
        if ended and isinstance(error, Exception):
            raise Stopped(*self._end) from error

    @property
    def end(self) -> Stopped:
        """What ends the run: the watchdog if it has asked for it, else SIGTERM."""
        return Stopped(*self._end)

    def listen(self) -> None:
        """Take SIGTERM over (again): Ray does when it starts, and prints its own stack."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)

    def end_now(self, reason: str, code: int) -> None:
        """Raise `Stopped` in the main thread, from any thread."""
        if self._raised:
            return
        self._end, self._now = (reason, code), True
        # A real signal, because it also wakes a thread that waits for a lock.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._raised:
            return
        if self._now or self.asked or self.gently is None:
            self.asked = self._raised = True
            self._after(_HARD_EXIT, lambda: os._exit(self._end[1]))
            raise Stopped(*self._end)
        self.asked = True
        self._after(self._grace, lambda: self.end_now(*self._end))
        self.gently()

    def _after(self, seconds: float, then: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, then)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()
