# SPDX-License-Identifier: Apache-2.0
"""How far a run is: a bar on a terminal, a line every 30 seconds elsewhere, also while nothing happens."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from pipeline.ticker import Ticker
from pipeline.wording import counted

EVERY = 30.0
"""Seconds from one line to the next."""
_PATIENCE = 5.0
"""Seconds without news that nobody needs to be told of."""


def watched(
    receipts: Iterable[pa.Table], shards: int, stream: TextIO = sys.stderr, every: float = EVERY
) -> Iterator[pa.Table]:
    """Pass receipts on while showing shards, samples and images a second; see `shown`."""
    total: Counter[str] = Counter()
    started = time.monotonic()
    with shown(shards, stream, every, lambda: _rates(total, time.monotonic() - started)) as tell:
        for receipt in receipts:
            for row in receipt.to_pylist():
                total.update({name: row[name] for name in ("rows", "samples", "rejected", "errors")})
                total["shards"] += 1
            tell(total["shards"], shards)
            yield receipt


@contextmanager
def shown(
    shards: int,
    stream: TextIO = sys.stderr,
    every: float = EVERY,
    about: Callable[[], str] = str,
    unit: str = "shard",
) -> Iterator[Callable[[int, int], None]]:
    """Show how far a run is until the block ends.

    Args:
        shards: how many there are.
        stream: where to show it; what it is decides how.
        every: seconds from one line to the next, where it is not a terminal.
        about: what else there is to say once a shard is done.
        unit: what a shard is called, if it is something else.

    Yields:
        A function to call with the shards that are done, and how many there are.
    """
    state = _State(shards, about, min(every, _PATIENCE), unit)
    with _bar(state, stream) if stream.isatty() else _lines(state, stream, every):
        yield state.tell


@dataclass(slots=True)
class _State:
    """What is known of a run."""

    shards: int
    about: Callable[[], str]
    patience: float
    unit: str
    done: int = 0
    since: float = field(default_factory=time.monotonic)

    def tell(self, done: int, shards: int) -> None:
        self.done, self.shards, self.since = done, shards, time.monotonic()

    def parts(self) -> list[str]:
        quiet = time.monotonic() - self.since
        late = self.done < self.shards and quiet >= self.patience
        wait = f"waiting {quiet:.0f} s for the {'next' if self.done else 'first'} {self.unit}" if late else ""
        return [part for part in (self.about() if self.done else "", wait) if part]


def _rates(total: Counter[str], seconds: float) -> str:
    rate = total["rows"] / max(seconds, 1e-9)
    share = {name: 100 * total[name] / max(total["rows"], 1) for name in ("samples", "rejected", "errors")}
    return (
        f"{counted(total['rows'], 'image')} · {rate:.1f} img/s · ok {share['samples']:.0f} % · "
        f"rejected {share['rejected']:.0f} % · errors {share['errors']:.1f} %"
    )


@contextmanager
def _bar(state: _State, stream: TextIO) -> Iterator[None]:
    counts = (TextColumn(f"{state.unit}s"), BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn())
    # Only the text gives way on a narrow terminal, from its end.
    text = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True))
    with Progress(*counts, text, console=Console(file=stream), expand=True) as progress:
        task = progress.add_task("starting", total=state.shards)

        def refresh() -> None:
            said = " · ".join(reversed(state.parts()))
            progress.update(task, completed=state.done, total=state.shards, description=said)

        with Ticker(0.5, refresh):
            yield
        refresh()


@contextmanager
def _lines(state: _State, stream: TextIO, every: float) -> Iterator[None]:
    def line() -> None:
        print(
            " · ".join([f"{state.unit} {state.done}/{state.shards}", *state.parts()]), file=stream, flush=True
        )

    with Ticker(every, line):
        yield
    line()
