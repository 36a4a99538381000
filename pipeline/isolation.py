# SPDX-License-Identifier: Apache-2.0
"""A stage on a table whose rows may have killed workers before: those that do are found and left out."""

from collections.abc import Collection

import pyarrow as pa

from stages.attempts import WORKER_DIED, Attempts
from stages.base import StageError, TableFunction
from stages.columns import ERROR, OK

_DEATHS = 12
"""Of workers over one shard at one operator, besides those that are put down to rows."""


def check_deaths(attempts: Attempts, shard: int, operator: str, explained: int) -> None:
    """Refuse a shard that goes on killing workers though no row is to blame.

    Args:
        attempts: the notes about it.
        shard: its number.
        operator: the name of the operator.
        explained: rows that are known to kill, two to four workers each.

    Raises:
        StageError: with what is known.
    """
    if len(attempts.deaths) > _DEATHS + 4 * explained:
        where = attempts.deaths[-1].stage or operator
        raise StageError(
            f"{len(attempts.deaths)} workers died over shard {shard:05d} in '{where}', and no single row "
            "does it (out of memory, or a crash in native code); give its workers more memory, or lower its "
            "batch_size; finished shards are kept"
        )


def isolated(
    name: str, function: TableFunction, table: pa.Table, attempts: Attempts, whole: bool = False
) -> pa.Table:
    """Run a stage's function on a table.

    Rows that were in hand when two workers died are first tried one by one, and what comes out is thrown
    away: results may depend on which rows share a batch, and a worker may have died of something else. A row
    that kills twice while it is alone becomes an `error` row.

    Args:
        name: the stage's.
        function: the stage's.
        table: a whole shard's rows.
        attempts: the notes about the shard.
        whole: whether the stage needs all rows at once; then nothing is tried.
    """
    table = without(table, attempts.culprits(name), name)
    if not whole and (suspects := attempts.suspects(name)):
        for row in suspects:
            with attempts.alone(name, row):
                function(table.slice(row, 1))
        attempts.clear(name)
    if not whole and attempts.must_part(name):
        return pa.concat_tables(
            (_alone(name, function, table, row, attempts) for row in range(table.num_rows)),
            promote_options="default",
        )
    with attempts.together(name, table.num_rows):
        return function(table)


def without(table: pa.Table, rows: Collection[int], stage: str) -> pa.Table:
    """The table with some rows, by place, marked as lost because they end their worker."""
    if not rows:
        return table
    entry = (ERROR, stage, WORKER_DIED, "it ends every process that works on it")
    lost = [row in rows and status == OK for row, status in enumerate(table["status"].to_pylist())]
    for column, value in zip(("status", "stage", "reason", "detail"), entry, strict=True):
        if column not in table.column_names:
            continue
        old = table[column].to_pylist()
        values = [value if gone else kept for gone, kept in zip(lost, old, strict=True)]
        field = table.schema.field(column)
        table = table.set_column(table.column_names.index(column), field, pa.array(values, field.type))
    return table


def _alone(name: str, function: TableFunction, table: pa.Table, row: int, attempts: Attempts) -> pa.Table:
    with attempts.alone(name, row):
        return function(table.slice(row, 1))
