# SPDX-License-Identifier: Apache-2.0
"""From a function on rows to a stage's table function: only `ok` rows are worked on, in micro-batches,
and one bad row never takes others with it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from stages.ahead import Ahead, Prepare
from stages.attempts import in_hand
from stages.base import Stage, StageError, TableFunction
from stages.columns import BACKOFF, ERROR, OK, REJECTED
from stages.micro_batches import Failure, MicroBatches, failure_of

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """A rule says no. `reason` is one of few short words_with_underscores; `detail` is for people.

    `columns` are outputs to keep all the same: what was measured explains the rejection.
    """

    reason: str
    detail: str | None = None
    columns: Row | None = None


Outcome = Row | Reject
_NOT_OF_ITS_TYPE = (pa.ArrowException, TypeError, ValueError, OverflowError)
RowsFunction = Callable[[list[Row]], Sequence[Outcome]]
"""Rows with the stage's input columns in; for each, in order, its output columns or a `Reject`."""
Order = Callable[[Row], Any]
"""By which rows are sorted, so that those that are alike go into one batch."""


def table_function(
    stage: Stage,
    name: str,
    work: RowsFunction,
    batch_size: int = 1,
    order: Order | None = None,
    prepare: Prepare | None = None,
) -> TableFunction:
    """Lift `work` to tables.

    Rows that are not `ok` pass untouched, with nulls in the new columns; a column that is there already keeps
    its value in every row that `work` has nothing to say of. If `work` raises on a batch,
    the batch is halved until the culprit stands alone; it becomes an `error` row with the message.
    If memory runs out, smaller batches are kept to from then on (see `stages.micro_batches`), and the table
    gets a column `backoff_<name>`, int32, with their size; a row that does not fit alone becomes an `error`
    row with the reason `out_of_memory`. The function raises StageError if `work` does not return one `Row` or
    `Reject` for each row.

    Args:
        stage: says which columns go in, come out and are dropped.
        name: goes into the `stage` column of rows that are rejected or fail.
        work: the function on rows; it may be called again with rows of a call that failed.
        batch_size: rows given to `work` at a time, at most.
        order: if given, `work` gets the rows of a table by this key; the table keeps its own order.
        prepare: if given, rows come with `stages.ahead.PREPARED`.
    """
    batches = MicroBatches(name, work, batch_size)

    def run(table: pa.Table) -> pa.Table:
        safe = batches.size
        alive = [index for index, status in enumerate(table["status"].to_pylist()) if status == OK]
        read = table.select([*stage.inputs]).take(pa.array(alive, pa.int64()))
        # Without columns Arrow knows of no rows.
        rows = read.to_pylist() if stage.inputs else [{} for _ in alive]
        if order is not None:
            keys = [order(row) for row in rows]
            places = sorted(range(len(rows)), key=keys.__getitem__)
            rows, alive = [rows[place] for place in places], [alive[place] for place in places]
        with Ahead(prepare, rows, batches.size) as ahead:

            def begun(first: int, last: int) -> None:
                held = alive[first : ahead.begin(first, last) + 1]
                in_hand(min(held), max(held))

            found = batches.outcomes(rows, begun)
        outcomes = dict(zip(alive, found, strict=True))
        _check_kinds(name, outcomes.values())
        try:
            table = _merged(table, stage, name, outcomes)
        except _NOT_OF_ITS_TYPE:
            table = _merged(table, stage, name, _of_their_types(stage, outcomes))
        if batches.size < safe:
            table = _with(table, pa.field(BACKOFF + name, pa.int32()), [batches.size] * table.num_rows)
        return table

    return run


def _check_kinds(name: str, outcomes: Iterable[Any]) -> None:
    for outcome in outcomes:
        if not isinstance(outcome, Mapping | Reject | Failure):
            kind = type(outcome).__name__
            raise StageError(f"stage '{name}' returned a {kind} for a row; it has to be a dict or a Reject")


def _of_their_types(stage: Stage, outcomes: dict[int, Outcome | Failure]) -> dict[int, Outcome | Failure]:
    """The same, but for rows with a value that its column cannot hold: those have failed."""
    checked = dict(outcomes)
    for index, outcome in outcomes.items():
        for field in stage.outputs:
            try:
                pa.array([_columns_of(outcome).get(field.name)], field.type)
            except _NOT_OF_ITS_TYPE as error:
                checked[index] = failure_of(error)
    return checked


def _columns_of(outcome: Outcome | Failure) -> Row:
    if isinstance(outcome, Failure):
        return {}
    return outcome.columns or {} if isinstance(outcome, Reject) else outcome


def _merged(table: pa.Table, stage: Stage, name: str, outcomes: dict[int, Outcome | Failure]) -> pa.Table:
    columns: list[Row] = [{} for _ in range(table.num_rows)]
    ledger = {column: table[column].to_pylist() for column in ("status", "stage", "reason", "detail")}
    for index, outcome in outcomes.items():
        columns[index] = _columns_of(outcome)
        if isinstance(outcome, Reject | Failure):
            status = REJECTED if isinstance(outcome, Reject) else ERROR
            entry = (status, name, outcome.reason, _encodable(outcome.detail))
            for column, value in zip(ledger, entry, strict=True):
                ledger[column][index] = value
    for column, values in ledger.items():
        table = _with(table, table.schema.field(column), values)
    for field in stage.outputs:
        there = field.name in table.column_names
        before = table[field.name].to_pylist() if there else [None] * table.num_rows
        values = [row.get(field.name, old) for row, old in zip(columns, before, strict=True)]
        table = _with(table, field, values)
    return table.drop_columns([column for column in stage.drops if column in table.column_names])


def _with(table: pa.Table, field: pa.Field, values: list[Any]) -> pa.Table:
    array = pa.array(values, field.type)
    if field.name in table.column_names:
        return table.set_column(table.column_names.index(field.name), field, array)
    return table.append_column(field, array)


def _encodable(text: str | None) -> str | None:
    """Names of files in messages may hold bytes that are no UTF-8."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
