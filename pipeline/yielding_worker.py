# SPDX-License-Identifier: Apache-2.0
"""A worker as Ray runs it."""

import os

import pyarrow as pa

from models.backends.protocols import BackendError
from pipeline.operators import NO_NOTES, Operator, StageError, Worker
from stages.attempts import Attempts, Notes

_NICER_BY = 5
"""Steps of Unix priority from one operator to the next."""


class YieldingWorker(Worker):
    """A worker that gives way to those further down the chain, so that what is begun is finished first.

    Where processes outnumber cores, the slowest operator would otherwise wait for others to fill its queue.
    """

    def __init__(self, operator: Operator, after: int, notes: Notes = NO_NOTES) -> None:
        self._niceness = min(_NICER_BY * after, 19)
        self._failure: BackendError | StageError | None = None
        try:
            super().__init__(operator, notes)
        except (BackendError, StageError) as error:
            # An actor that cannot start leaves pages of traces; a task's exception arrives alone.
            self._failure = error

    def __call__(self, table: pa.Table, attempts: Attempts | None = None) -> pa.Table:
        """See `Worker.__call__`."""
        if self._failure is not None:
            raise self._failure
        # Priorities belong to threads, and Ray does not promise that it stays with one.
        os.setpriority(os.PRIO_PROCESS, 0, self._niceness)
        return super().__call__(table, attempts)


_KEPT: list[tuple[tuple[Operator, int, Notes], YieldingWorker]] = []


def kept_worker(operator: Operator, after: int, notes: Notes = NO_NOTES) -> YieldingWorker:
    """This process's worker: where Ray gives shards to tasks and not to an actor, models are still loaded
    once and not for each of them."""
    asked = (operator, after, notes)
    if not _KEPT or _KEPT[0][0] != asked:
        # What is no longer needed goes before its successor loads.
        _KEPT.clear()
        _KEPT.append((asked, YieldingWorker(*asked)))
    return _KEPT[0][1]
