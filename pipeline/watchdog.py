# SPDX-License-Identifier: Apache-2.0
"""Whether a run moves: what its workers have in hand, and a line about who waits for what if nothing does."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.operators import Operator
from pipeline.ticker import Ticker
from pipeline.wording import lasted
from stages.attempts import noted


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run may stand still, in seconds."""

    tell_after: float = 300.0
    """Until a line says what it waits for; said again each time the wait has doubled."""
    end_after: float = 3600.0
    """Until the run is ended, so that it can be started anew; 0 for never."""


@dataclass(frozen=True, slots=True)
class Hand:
    """A shard at an operator, by the file of notes about it."""

    shard: str
    operator: str
    state: tuple[int, int]
    """Size and time of the file: they change with every note."""


class Watchdog(Ticker):
    """Looks at the notes again and again while its `with` block runs.

    Clocks of other machines do not matter: only changes do, and the time since the last is measured here.
    """

    def __init__(
        self,
        notes: Path,
        chain: Sequence[Operator],
        patience: Patience,
        tell: Callable[[str], object],
        end: Callable[[str], object],
        free: Callable[[], str] = str,
        died: Callable[[str, str, int], object] = lambda shard, operator, deaths: None,
        gone: Callable[[], str] = str,
    ) -> None:
        """Nothing is looked at before the block begins.

        Args:
            notes: the folder where workers note what they have in hand.
            chain: the operators, in order.
            patience: how long nothing may change.
            tell: gets the line.
            end: called once, with the same line, when patience is at its end.
            free: what of the cluster nobody holds, for the line.
            died: told the shard, the operator and the deaths so far, whenever a worker has died over a shard.
            gone: why the run cannot go on, if that is so; it is then ended at once.
        """
        self._notes, self._chain, self._patience = notes, chain, patience
        self._tell, self._end, self._free, self._died = tell, end, free, died
        self._gone = gone
        self._seen: object = None
        self._since = time.monotonic()
        self._next = patience.tell_after
        self._deaths: dict[tuple[str, str], int] = {}
        wait = min(filter(None, (patience.tell_after, patience.end_after or None)))
        super().__init__(min(5.0, max(wait / 10, 0.05)), self.look)

    def moved(self) -> None:
        """A shard was committed, or something else happened that shows life."""
        self._since, self._next = time.monotonic(), self._patience.tell_after

    def look(self) -> None:
        """Compare with the last look."""
        hands = self.hands()
        self._tell_deaths(hands)
        if hands != self._seen:
            self._seen = hands
            self.moved()
        if why := self._gone():
            self._gone = str
            self._end(why)
        quiet = time.monotonic() - self._since
        if self._patience.end_after and quiet >= self._patience.end_after:
            self._since = float("inf")
            self._end(self.line(quiet, hands))
        elif quiet >= self._next:
            self._next *= 2
            self._tell(self.line(quiet, hands))

    def hands(self) -> list[Hand]:
        """What is in hand, sorted."""
        found = []
        try:
            for path in self._notes.iterdir() if self._notes.is_dir() else ():
                shard, _, rest = path.name.removesuffix(".jsonl").partition(".")
                status = path.stat()
                found.append(Hand(shard, rest, (status.st_size, status.st_mtime_ns)))
        except OSError:
            return found
        return sorted(found, key=lambda hand: (hand.shard, hand.operator))

    def line(self, quiet: float, hands: Sequence[Hand]) -> str:
        """Which stage waits for what."""
        busy = [self._about(hand) for hand in hands]
        held = {hand.operator for hand in hands}
        idle = [operator.name for operator in self._chain if operator.name not in held]
        parts = [*busy, *([f"{', '.join(idle)} wait for rows or for a worker"] if idle else [])]
        free = self._free()
        return f"nothing has moved for {lasted(quiet)}: " + "; ".join([*parts, *([free] if free else [])])

    def _about(self, hand: Hand) -> str:
        lines = noted(self._path(hand))
        hands = [line["hand"] for line in lines if "hand" in line]
        tries = sum("attempt" in line for line in lines)
        stage, first, last, _ = hands[-1] if hands else ("", 0, -1, False)
        what = f"rows {first} to {last} of shard {hand.shard}" if last >= first else f"shard {hand.shard}"
        again = f" (attempt {tries})" if tries > 1 else ""
        return f"{stage or hand.operator} is at {what}{again}"

    def _tell_deaths(self, hands: Sequence[Hand]) -> None:
        for hand in hands:
            tries = sum("attempt" in line for line in noted(self._path(hand)))
            known = self._deaths.get((hand.shard, hand.operator), 0)
            if tries - 1 > known:
                self._deaths[hand.shard, hand.operator] = tries - 1
                self._died(hand.shard, hand.operator, tries - 1)

    def _path(self, hand: Hand) -> Path:
        return self._notes / f"{hand.shard}.{hand.operator}.jsonl"
