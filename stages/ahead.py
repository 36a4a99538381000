# SPDX-License-Identifier: Apache-2.0
"""What rows need before a stage's model sees them, made in threads while the model is at the rows before."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

Row = dict[str, Any]
PREPARED = "prepared"
"""The key that every row gets: call its value for what was made of the row."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """How one row is made ready."""

    work: Callable[[Row], Any]
    """It may be called from any thread; whatever it raises is raised where the result is asked for."""
    threads: int = 1
    """With one, nothing is made ahead: each row is made ready where it is asked for."""


class Ahead:
    """Of the rows of a table those that are worked on, and a batch more."""

    def __init__(self, prepare: Prepare | None, rows: Sequence[Row], batch: int) -> None:
        """
        Args:
            prepare: see there; nothing is made ready without it.
            rows: get `PREPARED`; what was made is kept until the rows after it are begun.
            batch: how many rows are made ready beyond those in hand.
        """
        self._rows, self._batch = rows, batch
        self._made: dict[int, Future[Any]] = {}
        self._pool: ThreadPoolExecutor | None = None
        if prepare is None:
            return
        self._work = prepare.work
        if prepare.threads > 1:
            self._pool = ThreadPoolExecutor(prepare.threads)
        for place, row in enumerate(rows):
            row[PREPARED] = partial(self._result, place)

    def begin(self, first: int, last: int) -> int:
        """Rows of these places are next, and none before them is asked for again.

        Returns:
            The last place of all that is in hand then.
        """
        if self._pool is None:
            return last
        for place in [place for place in self._made if place < first]:
            del self._made[place]
        stop = min(len(self._rows), last + 1 + self._batch)
        for place in range(first, stop):
            if place not in self._made:
                self._made[place] = self._pool.submit(self._work, self._rows[place])
        return stop - 1

    def _result(self, place: int) -> Any:
        made = self._made.get(place)
        if made is None:
            return self._work(self._rows[place])
        try:
            return made.result()
        except Exception:
            # Another attempt makes it anew: there may have been no memory for it.
            del self._made[place]
            raise

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        # Rows lead here and from here to the rows: they would wait for Python's collector, pictures and all.
        for row in self._rows:
            row.pop(PREPARED, None)
        self._made.clear()
