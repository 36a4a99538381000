# SPDX-License-Identifier: Apache-2.0
"""Stages that work on a whole set at once: it comes out whole, or each of its rows says why not."""

from collections.abc import Callable, Sequence

from models.backends.protocols import BackendError
from stages.base import Stage, TableFunction
from stages.micro_batches import Failure, failure_of
from stages.rows import Outcome, Reject, Row, table_function
from stages.set_row import SetRow

_ALL = 1_000_000
CANNOT_RUN = "cannot_run"
SetFunction = Callable[[list[SetRow], list[Row]], Sequence[Outcome]]
"""From what is asked for and the input columns, a set's rows each, to an outcome a row."""


def set_function(stage: Stage, name: str, work: SetFunction) -> TableFunction:
    """Lift `work` to the table of one set.

    What `work` raises becomes the reason of all rows: `cannot_run` where weights, devices or pictures are
    missing or the model is of the wrong kind, else an error with the exception's name.

    Args:
        stage: its `inputs` have to begin with `source_meta`.
        name: the stage's.
        work: on the rows that are still `ok`.
    """

    def attempt(rows: list[Row]) -> Sequence[Outcome | Failure]:
        try:
            return work([SetRow.read(row["source_meta"]) for row in rows], rows)
        except (BackendError, ValueError) as error:
            return [Reject(CANNOT_RUN, (str(error).splitlines() or [type(error).__name__])[0])] * len(rows)
        except Exception as error:
            return [failure_of(error)] * len(rows)

    return table_function(stage, name, attempt, _ALL)  # pyright: ignore[reportArgumentType]
