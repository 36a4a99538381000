# SPDX-License-Identifier: Apache-2.0
"""What a worker has in hand, noted where the next worker finds it if this one dies.

A note is a line in a small file, one file a shard and operator; it stands until the next line. Where a new
attempt begins while rows are in hand, a worker has died over them. Notes of another run mean nothing: its
workers may have died because it did.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stages.parse import parse_json

WORKER_DIED = "worker_died"
"""The reason in rows that end every process that works on them."""

_CURRENT: ContextVar["Attempts | None"] = ContextVar("attempts", default=None)


class InHand(NamedTuple):
    """Rows that are worked on, by their places in the shard."""

    stage: str = ""
    """Empty while a worker has a shard and no stage has begun, or one has ended."""
    first: int = 0
    last: int = -1
    """Included."""
    alone: bool = False
    """Whether a row is tried by itself, because it may be one that kills."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Where a run's workers note what they have in hand."""

    folder: str = ""
    """Every worker of the run can write here; empty to note nothing."""
    run: str = ""
    """The run's token."""

    def about(self, shard: int, operator: str) -> "Attempts":
        """The notes about one shard at one operator; a new attempt begins."""
        path = Path(self.folder, f"{shard:05d}.{operator}.jsonl") if self.folder else None
        return Attempts(path, self.run)


class Attempts:
    """The notes about one shard at one operator. What cannot be written or read is done without."""

    def __init__(self, path: Path | None, run: str) -> None:
        """Read what was noted before, and note that there is one more attempt."""
        self.deaths: list[InHand] = []
        """What was in hand at each death."""
        self.lived: dict[str, set[int]] = defaultdict(set)
        """Rows by stage that were tried alone and did no harm."""
        self.cleared: dict[str, int] = {}
        """By stage, how many deaths there had been when all suspects were found out about."""
        self._path, self._run = path, run
        self._stage = ""
        if path is not None:
            self._replay(path)
        self._write(attempt=len(self.deaths) + 1)

    @contextmanager
    def together(self, stage: str, rows: int) -> Iterator[None]:
        """All rows go through a stage; `in_hand` says which are worked on at the time."""
        self._stage = stage
        self._note(InHand(stage, 0, rows - 1))
        marker = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(marker)
        self._note(InHand())

    @contextmanager
    def alone(self, stage: str, row: int) -> Iterator[None]:
        """One row goes through a stage."""
        self._note(InHand(stage, row, row, alone=True))
        yield
        self.lived[stage].add(row)
        self._write(lived=[stage, row])

    def narrow(self, first: int, last: int) -> None:
        """Of all rows at the stage, these are worked on now."""
        self._note(InHand(self._stage, first, last))

    def clear(self, stage: str) -> None:
        """Every suspect of a stage has been tried alone."""
        self.cleared[stage] = len(self._together(stage))
        self._write(cleared=[stage, self.cleared[stage]])

    def end(self) -> None:
        """The operator is done with the shard."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def culprits(self, stage: str) -> set[int]:
        """Rows that have killed a worker twice while they were alone."""
        alone = Counter(death.first for death in self.deaths if death.stage == stage and death.alone)
        return {row for row, count in alone.items() if count > 1}

    def suspects(self, stage: str) -> list[int]:
        """Rows that were in hand at two deaths, as long as it is not known whether it was they."""
        if stage in self.cleared:
            return []
        ranges = Counter((death.first, death.last) for death in self._together(stage))
        rows = {row for (first, last), count in ranges.items() if count > 1 for row in range(first, last + 1)}
        return sorted(rows - self.lived[stage] - self.culprits(stage))

    def must_part(self, stage: str) -> bool:
        """Whether rows that do no harm alone still kill together: they may need too much memory."""
        return stage in self.cleared and len(self._together(stage)) - self.cleared[stage] > 1

    def _together(self, stage: str) -> list[InHand]:
        return [death for death in self.deaths if death.stage == stage and not death.alone]

    def _note(self, rows: InHand) -> None:
        self._write(hand=rows)

    def _write(self, **line: Any) -> None:
        if self._path is None:
            return
        content = json.dumps({"run": self._run, **line}).encode() + b"\n"
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, content)
            finally:
                os.close(handle)

    def _replay(self, path: Path) -> None:
        hand: InHand | None = None
        for line in noted(path):
            if line.get("run") != self._run:
                continue
            if "attempt" in line:
                self.deaths += [] if hand is None else [hand]
                hand = InHand()
            elif "hand" in line:
                hand = InHand(*line["hand"])
            elif "lived" in line:
                self.lived[line["lived"][0]].add(line["lived"][1])
                hand = InHand()
            elif "cleared" in line:
                self.cleared[line["cleared"][0]] = line["cleared"][1]
        self.deaths += [] if hand is None else [hand]


def in_hand(first: int, last: int) -> None:
    """Note which of a table's rows are worked on from now; does nothing where nobody takes notes."""
    if (attempts := _CURRENT.get()) is not None:
        attempts.narrow(first, last)


def noted(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of notes; one that was cut off is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(parse_json(line))
    return [line for line in found if isinstance(line, dict)]
