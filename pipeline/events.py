# SPDX-License-Identifier: Apache-2.0
"""What happened in a run, a JSON object a line, for whoever wants to know why it took so long.

On a file system every event is appended to `_meta/events.jsonl` at once. An object store cannot append:
there every run has files of its own, `_meta/events/TOKEN-NUMBER.jsonl`, which are written again and again.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pipeline.event_files import AppendedFile, RewrittenFiles
from pipeline.ticker import Ticker
from stages.parse import parse_json
from stages.shard.place import Place

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
_OWN = {"time", "run", "event"}


def _tell(line: str) -> None:
    print(f"subjectforge: {line}", file=sys.stderr, flush=True)


class Events:
    """A run's log. What cannot be written is told once and ends nothing; `tell` may come from any thread."""

    def __init__(
        self,
        root: Place,
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
        meta = root / "_meta"
        self._file = (
            AppendedFile(meta / "events.jsonl")
            if appends and isinstance(meta, Path)
            else RewrittenFiles(meta / "events", run)
        )
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

    @property
    def began_before(self) -> bool:
        """Whether a run has told something here, this one included; False where that cannot be seen."""
        try:
            return self._file.began_before()
        except OSError:
            return False

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


def read_events(root: Place) -> Iterator[dict[str, Any]]:
    """The events of all runs in the order of each run's; lines that are broken are left out."""
    meta = root / "_meta"
    parts = sorted((meta / "events").iterdir()) if (meta / "events").exists() else []
    for path in [meta / "events.jsonl", *parts]:
        if path.name.endswith(".jsonl") and path.exists():
            yield from filter(None, map(_event, path.read_bytes().split(b"\n")))


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = parse_json(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and event.keys() >= _OWN else None
