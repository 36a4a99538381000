# SPDX-License-Identifier: Apache-2.0
"""What happened in a run, a JSON object a line, for whoever wants to know why it took so long.

On a file system every event is appended to `_meta/events.jsonl` at once. An object store cannot append:
there every run has files of its own, `_meta/events/TOKEN-NUMBER.jsonl`, which are written again and again.
"""

import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from pipeline.ticker import Ticker
from stages.shard.commit import replace

EventName = Literal[
    "start",
    "resume",
    "shard",
    "retry",
    "backoff",
    "worker_died",
    "row_isolated",
    "stall",
    "stalled_out",
    "stop",
    "end",
    "error",
]
EVERY = 30.0
"""Seconds from one writing of a file that cannot be appended to, to the next."""
_PART = 1 << 20
"""Bytes after which a run begins a new file of those: each is written as a whole."""
_OWN = {"time", "run", "event"}


def _tell(line: str) -> None:
    print(f"subjectforge: {line}", file=sys.stderr, flush=True)


class Events:
    """A run's log. What cannot be written is told once and ends nothing; `tell` may come from any thread."""

    def __init__(
        self,
        root: Path,
        run: str,
        *,
        appends: bool | None = None,
        every: float = EVERY,
        complain: Callable[[str], object] = _tell,
    ) -> None:
        """Nothing is written before the first event.

        Args:
            root: the dataset's root.
            run: the run's token; letters, digits, `_` and `-`.
            appends: whether files below `root` can be appended to; if not given, what `root` is decides.
            every: seconds from one writing to the next where they cannot.
            complain: gets the one line about events that could not be written.
        """
        self.failure: str | None = None
        """Why events are missing; None if none are."""
        appends = isinstance(root, Path) if appends is None else appends
        self._file = _Appended(root) if appends else _Rewritten(root, run)
        self._run, self._every, self._complain = run, every, complain
        # A handler of a signal may come in while its own thread writes.
        self._turn = threading.RLock()
        self._ticker: Ticker | None = None

    def tell(self, event: EventName, /, **fields: Any) -> None:
        """Write one event; values that JSON does not know become their text.

        Raises:
            ValueError: if there is no such event, or if a field has the name of one that every event has.
        """
        if event not in get_args(EventName) or _OWN & fields.keys():
            raise ValueError(f"no event {event!r} with the fields {sorted(fields)}")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "run": self._run, "event": event, **fields}, default=str)
        with self._turn:
            self._try(self._file.add, line.encode() + b"\n")
            if self._file.later and not self._ticker:
                self._ticker = Ticker(self._every, self._keep)
                self._ticker.__enter__()

    def close(self) -> None:
        """Write what is not written yet."""
        if self._ticker:
            self._ticker.__exit__()
            self._ticker = None
        self._keep()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self) -> None:
        with self._turn:
            self._try(self._file.keep)

    def _try(self, write: Callable[..., None], *arguments: bytes) -> None:
        try:
            write(*arguments)
        except OSError as error:
            if self.failure is None:
                self.failure = error.strerror or str(error)
                self._complain(
                    f"the run's events cannot all be written to {self._file.place}: {self.failure}"
                )


class _Appended:
    """One file of all runs."""

    later: ClassVar = False

    def __init__(self, root: Path) -> None:
        self.place = root / "_meta" / "events.jsonl"

    def add(self, line: bytes) -> None:
        self.place.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.place, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(handle).st_size
            # A crash, or a full disk, may have cut the last line off.
            whole = not size or os.pread(handle, 1, size - 1) == b"\n"
            line = line if whole else b"\n" + line
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)

    def keep(self) -> None:
        pass


class _Rewritten:
    """Files of one run, the last of them in memory."""

    later: ClassVar = True
    """Whether what was added is written only by `keep`."""

    def __init__(self, root: Path, run: str) -> None:
        self._folder, self._run = root / "_meta" / "events", run
        self._part = 0
        self._lines: list[bytes] = []
        self._written = 0

    @property
    def place(self) -> Path:
        return self._folder / f"{self._run}-{self._part:04d}.jsonl"

    def add(self, line: bytes) -> None:
        self._lines.append(line)

    def keep(self) -> None:
        if len(self._lines) == self._written:
            return
        replace(self.place, b"".join(self._lines))
        self._written = len(self._lines)
        if sum(map(len, self._lines)) > _PART:
            self._part, self._lines, self._written = self._part + 1, [], 0


def read_events(root: Path) -> Iterator[dict[str, Any]]:
    """The events of all runs in the order of each run's; lines that are broken are left out."""
    meta = root / "_meta"
    parts = sorted((meta / "events").iterdir()) if (meta / "events").exists() else []
    for path in [meta / "events.jsonl", *parts]:
        if path.name.endswith(".jsonl") and path.exists():
            yield from filter(None, map(_event, path.read_bytes().split(b"\n")))


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and event.keys() >= _OWN else None
