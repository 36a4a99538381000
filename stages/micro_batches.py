# SPDX-License-Identifier: Apache-2.0
"""Rows in micro-batches: what does not fit in memory, or breaks, is tried again in halves."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from stages.base import StageError
from stages.device_lost import end_if_device_is_lost
from stages.memory import free_memory, is_out_of_memory

OUT_OF_MEMORY = "out_of_memory"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a row has no outcome; text alone, because an exception keeps alive all that its frames hold."""

    reason: str
    detail: str


def failure_of(error: Exception) -> Failure:
    """An exception's class and first line; for memory a text that is the same in every run."""
    if is_out_of_memory(error):
        return Failure(OUT_OF_MEMORY, "it does not fit in memory, not even alone")
    lines = str(error).strip().splitlines()
    return Failure(type(error).__name__, lines[0][:300] if lines else type(error).__name__)


class _Part(NamedTuple):
    start: int
    stop: int
    size_before: int | None = None
    """The safe size from before the back-offs that led to this part."""


class MicroBatches:
    """Runs `work` on lists of rows, and remembers which size has been safe.

    `size` is how many rows `work` gets at most. Where memory runs out, what earlier calls left behind is
    collected and the same rows are tried again; only if that is not enough, `size` is halved. It never grows,
    but for one case: where halving ends in a single row that does not fit, the row was too large and not the
    batch, and the size from before is taken up again.
    """

    def __init__(self, name: str, work: Callable[[list[Any]], Iterable[Any]], size: int) -> None:
        """Begin with `size` rows at a time; `name` is the stage's, for messages."""
        self.size = size
        self._name = name
        self._work = work

    def outcomes(
        self, rows: list[dict[str, Any]], begun: Callable[[int, int], object] = lambda first, last: None
    ) -> list[Any]:
        """For each row, in order, what `work` returned, or the `Failure` of the row alone.

        Args:
            rows: to be worked on.
            begun: told the first and the last place in `rows` of what `work` gets, before it does.

        Raises:
            StageError: if `work` does not return one outcome a row.
        """
        done: list[Any] = []
        todo = [_Part(0, len(rows))] if rows else []
        tidy = False
        # A stack, not recursion: nothing of a failed attempt may be alive in the next.
        while todo:
            part = todo.pop()
            if part.stop - part.start > self.size:
                todo.append(part._replace(start=part.start + self.size))
                part = part._replace(stop=part.start + self.size)
            begun(part.start, part.stop - 1)
            found = self._attempt(rows[part.start : part.stop])
            if isinstance(found, Failure):
                again = self._again(part, found, tidy)
                todo += again
                done += [] if again else [found]
            else:
                done += found
            tidy = isinstance(found, Failure) and found.reason == OUT_OF_MEMORY
        return done

    def _again(self, part: _Part, failure: Failure, tidy: bool) -> list[_Part]:
        """What to try instead, the last first; nothing if a row stands alone."""
        if failure.reason == OUT_OF_MEMORY:
            free_memory()
            # Memory may be full of what calls before left behind, and the batch of the right size.
            if not tidy:
                return [part]
            part = self._backed_off(part)
        return _halves(part) if part.stop - part.start > 1 else []

    def _attempt(self, rows: list[dict[str, Any]]) -> list[Any] | Failure:
        try:
            # Copies: what `work` did to the rows before it failed must not show in the next attempt.
            returned = self._work([{**row} for row in rows])
            outcomes = [*returned] if isinstance(returned, Iterable) else None
        except Exception as error:
            end_if_device_is_lost(error)
            return failure_of(error)
        if outcomes is None or len(outcomes) != len(rows):
            what = "no list" if outcomes is None else len(outcomes)
            raise StageError(f"stage '{self._name}' has to return one outcome a row: {what} for {len(rows)}")
        return outcomes

    def _backed_off(self, part: _Part) -> _Part:
        before = part.size_before or self.size
        count = part.stop - part.start
        self.size = before if count == 1 else count - count // 2
        return part._replace(size_before=before)


def _halves(part: _Part) -> list[_Part]:
    """The second half and the first, which comes off a stack first."""
    middle = (part.start + part.stop) // 2
    return [part._replace(start=middle), part._replace(stop=middle)]
