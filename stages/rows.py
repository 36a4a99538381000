# SPDX-License-Identifier: Apache-2.0
"""From a function on rows to a stage's table function: only `ok` rows are worked on, in micro-batches,
and one bad row never takes others with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.columns import ERROR, OK, REJECTED

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
RowsFunction = Callable[[list[Row]], Sequence[Outcome]]
"""Rows with the stage's input columns in; for each, in order, its output columns or a `Reject`."""


def table_function(stage: Stage, name: str, work: RowsFunction, batch_size: int = 1) -> TableFunction:
    """Lift `work` to tables.

    Rows that are not `ok` pass untouched, with nulls in the new columns; a column that is there already keeps
    its value in every row that `work` has nothing to say of. If `work` raises on a batch,
    the batch is halved until the culprit stands alone; it becomes an `error` row with the message.

    Args:
        stage: says which columns go in, come out and are dropped.
        name: goes into the `stage` column of rows that are rejected or fail.
        work: the function on rows.
        batch_size: rows given to `work` at a time.
    """

    def run(table: pa.Table) -> pa.Table:
        alive = [index for index, status in enumerate(table["status"].to_pylist()) if status == OK]
        rows = table.select([*stage.inputs]).take(pa.array(alive, pa.int64())).to_pylist()
        outcomes: list[Outcome | Exception] = []
        for start in range(0, len(rows), batch_size):
            outcomes += _isolated(work, rows[start : start + batch_size])
        return _merged(table, stage, name, dict(zip(alive, outcomes, strict=True)))

    return run


def _isolated(work: RowsFunction, rows: list[Row]) -> list[Outcome | Exception]:
    try:
        outcomes: list[Outcome | Exception] = [*work(rows)]
    except Exception as error:
        if len(rows) == 1:
            return [error]
        half = len(rows) // 2
        return _isolated(work, rows[:half]) + _isolated(work, rows[half:])
    if len(outcomes) != len(rows):
        raise RuntimeError(f"{len(rows)} rows went in, {len(outcomes)} came out")
    return outcomes


def _merged(table: pa.Table, stage: Stage, name: str, outcomes: dict[int, Outcome | Exception]) -> pa.Table:
    columns: list[Row] = [{} for _ in range(table.num_rows)]
    ledger = {column: table[column].to_pylist() for column in ("status", "stage", "reason", "detail")}
    for index, outcome in outcomes.items():
        if isinstance(outcome, Reject):
            columns[index] = outcome.columns or {}
            entry = (REJECTED, name, outcome.reason, outcome.detail)
        elif isinstance(outcome, Exception):
            entry = (ERROR, name, type(outcome).__name__, _message(outcome))
        else:
            columns[index] = outcome
            continue
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


def _message(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
