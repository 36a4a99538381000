# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stages.base import Stage, TableFunction
from stages.columns import LEDGER
from stages.rows import Reject, table_function


@dataclass(frozen=True, kw_only=True)
class Halve(Stage):
    inputs: ClassVar[tuple[str, ...]] = ("number",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("half", pa.int64())])
    drops: ClassVar[tuple[str, ...]] = ("number",)

    def setup(self) -> TableFunction:
        return table_function(self, "halve", halve, batch_size=4)


def halve(rows):
    if any(row["number"] < 0 for row in rows):
        raise ValueError("negative")
    return [
        Reject("odd", "not even", {"half": 0}) if row["number"] % 2 else {"half": row["number"] // 2}
        for row in rows
    ]


def table_of(numbers, statuses):
    names = [f"00000-{place:05d}" for place in range(len(numbers))]
    reasons = [None if status == "ok" else "earlier" for status in statuses]
    columns = [names, names, names, statuses, reasons, reasons, [None] * len(numbers)]
    table = pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, LEDGER, strict=True)], schema=LEDGER
    )
    return table.append_column("number", pa.array(numbers, pa.int64()))


@given(st.lists(st.tuples(st.integers(-3, 9), st.sampled_from(["ok", "rejected", "error"])), max_size=30))
def test_every_row_comes_out_once_in_order_with_the_right_fate(pairs):
    numbers, statuses = [n for n, _ in pairs], [s for _, s in pairs]
    out = Halve().setup()(table_of(numbers, statuses)).to_pylist()
    assert len(out) == len(pairs)
    for place, (row, number, status) in enumerate(zip(out, numbers, statuses, strict=True)):
        assert row["key"] == f"00000-{place:05d}"
        assert "number" not in row
        if status != "ok":
            assert (row["status"], row["reason"], row["half"]) == (status, "earlier", None)
        elif number < 0:
            assert (row["status"], row["stage"], row["reason"]) == ("error", "halve", "ValueError")
            assert row["detail"] == "negative"
        elif number % 2:
            assert (row["status"], row["stage"], row["reason"], row["half"]) == (
                "rejected",
                "halve",
                "odd",
                0,
            )
        else:
            assert (row["status"], row["half"]) == ("ok", number // 2)


def test_a_column_that_was_there_keeps_what_is_not_worked_on():
    table = table_of([2, -1, 3, 8], ["ok", "ok", "ok", "rejected"])
    table = table.append_column("half", pa.array([11, 12, 13, 14], pa.int64()))
    out = Halve().setup()(table).to_pylist()
    assert [row["half"] for row in out] == [1, 12, 0, 14]


def test_a_bad_row_does_not_take_its_batch_with_it():
    out = Halve().setup()(table_of([2, -1, 4, 6], ["ok"] * 4)).to_pylist()
    assert [row["half"] for row in out] == [1, None, 2, 3]
    assert [row["status"] for row in out] == ["ok", "error", "ok", "ok"]
