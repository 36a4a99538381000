# SPDX-License-Identifier: Apache-2.0
"""Rows in are rows out: chains of stages that go wrong in every way, to the files on disk and back."""

import json
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.base import Stage, StageError, TableFunction
from stages.columns import BACKOFF, OK
from stages.rows import Outcome, Reject, Row, table_function
from stages.shard.record import MEMBERS
from stages.write import Write
from tests.shards import shard_table

SHARD = shard_table(3, rows=16)
"""Five in sixteen of its rows are lost before they come to the chain."""

FATES = ("fine", "reject", "reject and say", "break", "unstorable", "giant")
OUT_OF_MEMORY = (
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: "
                 "you tried to allocate 4294967296 bytes. Error code 12 (Cannot allocate memory)"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wayward(Stage):
    """What it does to a row depends on the row alone, but not what it raises on the way."""

    inputs: ClassVar[tuple[str, ...]] = ("key", "image")
    name: str = ""
    batch_size: int = 1
    fates: tuple[str, ...] = ()
    """For each row of the shard."""
    quarrels: tuple[tuple[int, int], ...] = ()
    """Rows that break a batch they are in together."""
    capacity: int = 1
    """Rows that fit in memory together."""
    memory_error: Exception = OUT_OF_MEMORY[0]

    @property
    def outputs(self) -> pa.Schema:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A column of its own."""
        return pa.schema([pa.field(f"mark_{self.name}", pa.int32())])

    def setup(self) -> TableFunction:
        return table_function(self, self.name, self._work, self.batch_size)

    def _work(self, rows: list[Row]) -> list[Outcome]:
        places = [int(row.pop("key")[-5:]) for row in rows]
        if any(self.fates[place] == "giant" for place in places) or len(places) > self.capacity:
            raise type(self.memory_error)(*self.memory_error.args)
        if any({*pair} <= {*places} for pair in self.quarrels):
            raise ArithmeticError("two rows that do not go together")
        if any(self.fates[place] == "break" for place in places):
            raise LookupError("caf\udce9")
        return [self._outcome(place) for place in places]

    def _outcome(self, place: int) -> Outcome:
        mark = {f"mark_{self.name}": 2**40 if self.fates[place] == "unstorable" else place}
        rejects = {"reject": Reject("no_good"), "reject and say": Reject("no_good", "caf\udce9", mark)}
        return rejects.get(self.fates[place], mark)

    def fate(self, place: int) -> tuple[str, str | None, str | None]:
        """Status, stage and reason of a row after this stage; told from the drawn fate alone."""
        reasons = {
            "reject": ("rejected", "no_good"),
            "reject and say": ("rejected", "no_good"),
            "break": ("error", "LookupError"),
            "unstorable": ("error", "ArrowInvalid"),
            "giant": ("error", "out_of_memory"),
        }
        if self.fates[place] == "fine":
            return OK, None, None
        status, reason = reasons[self.fates[place]]
        return status, self.name, reason


@st.composite
def chains(draw: st.DrawFn, rows: int) -> list[Wayward]:
    fates = st.lists(st.sampled_from(("fine",) * 9 + FATES), min_size=rows, max_size=rows)
    place = st.integers(0, rows - 1)
    return [
        Wayward(
            name=f"s{number}",
            batch_size=draw(st.integers(1, 17)),
            fates=tuple(draw(fates)),
            quarrels=tuple(pair for pair in draw(st.lists(st.tuples(place, place))) if pair[0] != pair[1]),
            capacity=draw(st.integers(1, 17)),
            memory_error=draw(st.sampled_from(OUT_OF_MEMORY)),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


@st.composite
def shards(draw: st.DrawFn) -> tuple[pa.Table, list[Wayward]]:
    """A shard of which some samples cannot be encoded, and what it goes through."""
    rows = draw(st.integers(1, SHARD.num_rows))
    lost = draw(st.sets(st.integers(0, rows - 1), max_size=2))
    image = SHARD["image"].to_pylist()[:rows]
    images = pa.array(
        [None if place in lost else data for place, data in enumerate(image)], pa.large_binary()
    )
    table = SHARD.slice(0, rows)
    return table.set_column(table.column_names.index("image"), "image", images), draw(chains(rows))


def built(root: Path, table: pa.Table, chain: list[Wayward]) -> tuple[dict[str, Any], dict[str, int]]:
    """The receipt of a shard that went through the chain to the disk, and where memory ran out."""
    for stage in chain:
        keys = table["key"]
        table = stage.setup()(table)
        assert table["key"].equals(keys)
    backoff = {name: table[name][0].as_py() for name in table.column_names if name.startswith(BACKOFF)}
    return Write(folder=str(root)).setup()(table).to_pylist()[0], backoff


def expected(table: pa.Table, chain: list[Wayward]) -> list[tuple[str, str | None, str | None]]:
    """Status, stage and reason of every row, told without running anything."""
    found = []
    for place, row in enumerate(table.to_pylist()):
        fate = (row["status"], row["stage"], row["reason"])
        for stage in chain:
            fate = stage.fate(place) if fate[0] == OK else fate
        if fate[0] == OK and row["image"] is None:
            fate = ("error", "write", "ValueError")
        found.append(fate)
    return found


def check_marks(rows: list[Row], table: pa.Table, chain: list[Wayward]) -> None:
    """What a stage said of a row is in that row, and in no other."""
    for place, (row, status) in enumerate(zip(rows, table["status"].to_pylist(), strict=True)):
        alive = status == OK
        for stage in chain:
            marked = alive and stage.fates[place] in ("fine", "reject and say")
            assert row[f"mark_{stage.name}"] == (place if marked else None)
            alive = alive and stage.fates[place] == "fine"


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "data" / "train").iterdir())}


@settings(max_examples=40, deadline=None)
@given(shards())
def test_every_row_is_on_disk_once_in_order_with_the_fate_that_is_its_own(
    drawn: tuple[pa.Table, list[Wayward]],
) -> None:
    table, chain = drawn
    with tempfile.TemporaryDirectory() as folder:
        receipt, _ = built(Path(folder), table, chain)
        data = Path(folder) / "data" / "train"
        rows = pq.read_table(data / "00003.parquet").to_pylist()
        stats = json.loads((data / "00003_stats.json").read_text())
        with tarfile.open(data / "00003.tar") as tar:
            members = tar.getnames()
    fates = expected(table, chain)
    check_marks(rows, table, chain)
    assert [row["key"] for row in rows] == table["key"].to_pylist()
    assert [(row["status"], row["stage"], row["reason"]) for row in rows] == fates
    ok = [row["key"] for row in rows if row["status"] == OK]
    assert members == [f"{key}.{member}" for key in ok for member in MEMBERS]
    assert all((row["jpg_offset"] is not None) == (row["status"] == OK) for row in rows)
    statuses = Counter(status for status, _, _ in fates)
    assert stats["statuses"] == {status: statuses[status] for status in ("ok", "rejected", "error")}
    assert (stats["count"], stats["successes"]) == (len(rows), len(ok))
    told = {
        (stage, reason): n for stage, reasons in stats["reasons"].items() for reason, n in reasons.items()
    }
    assert told == Counter(fate[1:] for fate in fates if fate[0] != OK)
    assert (receipt["rows"], receipt["samples"]) == (len(rows), len(ok))
    assert (receipt["rejected"], receipt["errors"]) == (statuses["rejected"], statuses["error"])


@settings(max_examples=20, deadline=None)
@given(shards(), st.integers(1, 17), st.integers(1, 17))
def test_neither_batches_nor_memory_show_in_the_files(
    drawn: tuple[pa.Table, list[Wayward]], batch_size: int, capacity: int
) -> None:
    table, chain = drawn
    other = [replace(stage, batch_size=batch_size, capacity=capacity) for stage in chain]
    with tempfile.TemporaryDirectory() as folder:
        root, elsewhere = Path(folder) / "a", Path(folder) / "b"
        receipt, backoff = built(root, table, chain)
        built(elsewhere, table, other)
        assert contents(root) == contents(elsewhere)
        log = json.loads((root / "_meta" / "timings" / "00003.json").read_text())["backoff"]
    assert {BACKOFF + stage: size for stage, size in log.items()} == backoff
    assert receipt["backoff"] == (json.dumps(log) if log else None)
    assert all(log.get(stage.name, 1) <= stage.batch_size for stage in chain)


@settings(max_examples=20, deadline=None)
@given(shards(), st.integers(0, 4), st.integers(-16, 16).filter(bool))
def test_a_stage_that_loses_or_invents_rows_is_named_and_nothing_is_written(
    drawn: tuple[pa.Table, list[Wayward]], place: int, more: int
) -> None:
    class Miscounting(Wayward):
        def _work(self, rows: list[Row]) -> list[Outcome]:
            return [{}] * max(len(rows) + more, 0 if more < 0 else 1)

    table, chain = drawn
    bad = Miscounting(name="miscounting", batch_size=5)
    whole = table.set_column(table.column_names.index("image"), "image", SHARD["image"].slice(0, len(table)))
    reached = any(status == OK for status, _, _ in expected(whole, chain[:place]))
    with tempfile.TemporaryDirectory() as folder:
        if reached:
            with pytest.raises(StageError, match="stage 'miscounting' has to return one outcome a row"):
                built(Path(folder), table, [*chain[:place], bad, *chain[place:]])
        else:
            built(Path(folder), table, [*chain[:place], bad, *chain[place:]])
        assert [*Path(folder).iterdir()] == [] or not reached
