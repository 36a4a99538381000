# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.ahead import PREPARED, Prepare
from stages.base import Stage, StageError, TableFunction
from stages.columns import BACKOFF, LEDGER
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
    nothing = [None] * len(numbers)
    columns = [names, names, names, nothing, statuses, reasons, reasons, nothing]
    table = pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, LEDGER, strict=True)], schema=LEDGER
    )
    return table.append_column("number", pa.array(numbers, pa.int64()))


@settings(deadline=None)
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


def run(work, numbers, batch_size=4):
    """What `work` makes of a table of `ok` rows."""
    return table_function(Halve(), "halve", work, batch_size)(table_of(numbers, ["ok"] * len(numbers)))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda rows: [{"half": 1}], "stage 'halve' has to return one outcome a row: 1 for 4"),
        (lambda rows: [{"half": 1}] * 9, "stage 'halve' has to return one outcome a row: 9 for 4"),
        (lambda rows: None, "stage 'halve' has to return one outcome a row: no list for 4"),
        (lambda rows: [None] * 4, "stage 'halve' returned a NoneType for a row"),
    ],
    ids=["too few", "too many", "no return", "no outcomes"],
)
def test_a_stage_that_returns_something_else_than_outcomes_is_named(work, message):
    with pytest.raises(StageError, match=message):
        run(work, [1, 2, 3, 4])


@pytest.mark.parametrize("bad", [2**70, "seven", [7]])
def test_a_value_that_its_column_cannot_hold_costs_its_own_row_only(bad):
    def work(rows):
        return [{"half": bad if row["number"] == 3 else row["number"]} for row in rows]

    out = run(work, [1, 2, 3, 4, 5]).to_pylist()
    assert [row["half"] for row in out] == [1, 2, None, 4, 5]
    assert [row["status"] for row in out] == ["ok", "ok", "error", "ok", "ok"]
    assert out[2]["stage"] == "halve"
    assert out[2]["reason"]
    assert out[2]["detail"]


def test_a_message_that_is_no_unicode_is_kept_as_far_as_it_can_be():
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")

    def work(rows):
        if any(row["number"] == 2 for row in rows):
            raise OSError(name)
        return [Reject("odd", name) for row in rows]

    assert {row["detail"] for row in run(work, [1, 2, 3]).to_pylist()} == {"caf\\udce9.jpg"}


def test_rows_that_an_attempt_has_changed_are_whole_in_the_next():
    def work(rows):
        return [{"half": 8 // row.pop("number")} for row in rows]

    assert [row["half"] for row in run(work, [1, 2, 0, 4]).to_pylist()] == [8, 4, None, 2]


def test_only_a_table_in_which_memory_ran_out_has_the_safe_size():
    def work(rows):
        if len(rows) > 3:
            raise MemoryError
        return [{"half": 0} for _ in rows]

    function = table_function(Halve(), "halve", work, 8)
    first, second = (function(table_of(list(range(20)), ["ok"] * 20)) for _ in range(2))
    column = first.schema.field(BACKOFF + "halve")
    assert column.type == pa.int32()
    assert first[column.name].to_pylist() == [2] * 20
    assert second.schema.names == [name for name in first.schema.names if name != column.name]


def test_a_stage_that_reads_no_column_is_asked_for_every_row():
    @dataclass(frozen=True, kw_only=True)
    class Constant(Halve):
        inputs: ClassVar[tuple[str, ...]] = ()

    function = table_function(Constant(), "constant", lambda rows: [{"half": 7} for _ in rows], 2)
    out = function(table_of([1, 2, 3], ["ok", "error", "ok"])).to_pylist()
    assert [row["half"] for row in out] == [7, None, 7]


@settings(deadline=None)
@given(st.lists(st.integers(-3, 9), max_size=30), st.integers(1, 5), st.booleans())
def test_the_order_of_work_and_what_is_prepared_change_no_row(numbers, batch, prepared):
    seen = []

    def work(rows):
        seen.append([row["number"] for row in rows])
        assert not prepared or [row[PREPARED]() for row in rows] == [-n for n in seen[-1]]
        return halve(rows)

    prepare = Prepare(lambda row: -row["number"], threads=2) if prepared else None
    table = table_of(numbers, ["ok"] * len(numbers))
    found = table_function(Halve(), "halve", work, batch, lambda row: row["number"] // 3, prepare)(table)
    assert found.equals(table_function(Halve(), "halve", halve, batch)(table))
    firsts = [number // 3 for batch_seen in seen for number in batch_seen]
    # Those that fail are tried again in halves; what is done at once is in order.
    assert firsts == sorted(firsts) or min(numbers) < 0
