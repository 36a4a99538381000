# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.micro_batches import Failure, MicroBatches
from tests.stages.short_of_memory import GIANT, ROW

ROOT = Path(__file__).parents[2]


def hungry(capacity, calls=None):
    """Work that needs a row's number of units, all rows of a call together, of `capacity` that there are."""

    def work(rows):
        if calls is not None:
            calls.append([row["place"] for row in rows])
        if sum(row["units"] for row in rows) > capacity:
            raise MemoryError
        return [row["place"] for row in rows]

    return work


def rows_of(units):
    return [{"place": place, "units": unit} for place, unit in enumerate(units)]


@pytest.fixture(scope="module", params=["numpy", "torch"])
def told(request):
    """What a stage did in a process whose address space ends."""
    # Pools that reserve address space ahead, or keep what was freed, would blur where it ends.
    quiet = {
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_ARENA_MAX": "1",
    }
    found = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "stages" / "short_of_memory.py"), request.param],
        env={**os.environ, **quiet, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout) | {"library": request.param}


def test_at_a_real_limit_all_rows_that_fit_come_out_right(told):
    assert told["error"].endswith({"numpy": "MemoryError", "torch": "RuntimeError"}[told["library"]])
    for table, rows in enumerate(told["rows"]):
        assert [row["key"] for row in rows] == [f"00000-{place:05d}" for place in range(40)]
        for place, row in enumerate(rows):
            giant = (table, place) == (2, 20)
            assert row["width"] == (GIANT if giant else 1)
            assert (row["status"], row["reason"], row["sum"]) == (
                ("error", "out_of_memory", None) if giant else ("ok", None, 3)
            )


def test_at_a_real_limit_the_safe_size_is_remembered(told):
    first, second, third = told["tried"]
    assert first[0] == 16
    assert set(first[first.index(4) :]) == {4}, "what a failed attempt held was not let go"
    assert set(second) == {4}
    assert third[-4:] == [4] * 4, "a row that is too large has changed what others are given"
    assert {row.get("backoff_hungry") for row in told["rows"][0]} == {4}
    assert all("backoff_hungry" not in row for rows in told["rows"][1:] for row in rows)


def test_at_a_real_limit_nothing_is_left_behind(told):
    assert told["grown"] < ROW / 2


@given(
    st.lists(st.integers(1, 9), max_size=40),
    st.integers(1, 12),
    st.integers(1, 16),
)
@settings(deadline=None, max_examples=30)
def test_every_row_that_fits_alone_has_its_outcome_whatever_the_size(units, capacity, size):
    batches = MicroBatches("hungry", hungry(capacity), size)
    found = batches.outcomes(rows_of(units))
    assert len(found) == len(units)
    for place, (outcome, unit) in enumerate(zip(found, units, strict=True)):
        if unit > capacity:
            assert isinstance(outcome, Failure)
            assert outcome.reason == "out_of_memory"
        else:
            assert outcome == place
    assert 1 <= batches.size <= size


@given(st.integers(1, 12), st.integers(1, 16), st.integers(1, 60))
@settings(deadline=None, max_examples=30)
def test_what_was_safe_once_never_fails_again_and_is_more_than_half_of_what_fits(capacity, size, count):
    calls = []
    batches = MicroBatches("hungry", hungry(capacity, calls), size)
    batches.outcomes(rows_of([1] * count))
    assert batches.size > min(size, capacity, count) // 2
    calls.clear()
    batches.outcomes(rows_of([1] * count))
    if count >= size:
        assert [len(call) for call in calls[:-1]] == [batches.size] * (len(calls) - 1)
        assert len(calls) == -(-count // batches.size)


def test_a_row_that_is_too_large_does_not_make_the_batches_of_others_smaller():
    calls = []
    batches = MicroBatches("hungry", hungry(8, calls), 8)
    found = batches.outcomes(rows_of([1] * 11 + [99] + [1] * 20))
    assert [isinstance(outcome, Failure) for outcome in found] == [place == 11 for place in range(32)]
    assert batches.size == 8
    assert [len(call) for call in calls[-2:]] == [8, 8]


def test_a_row_that_breaks_changes_no_size():
    def work(rows):
        if any(row["place"] == 5 for row in rows):
            raise ValueError("five")
        return [row["place"] for row in rows]

    batches = MicroBatches("broken", work, 8)
    assert batches.outcomes(rows_of([1] * 9)) == [0, 1, 2, 3, 4, Failure("ValueError", "five"), 6, 7, 8]
    assert batches.size == 8


def test_memory_that_earlier_calls_left_behind_makes_no_batch_smaller():
    class Held:
        count = 0

        def __init__(self, rows):
            Held.count += rows
            self.rows, self.itself = rows, self

        def __del__(self):
            Held.count -= self.rows

    def work(rows):
        if Held.count + len(rows) > 8:
            raise MemoryError
        Held(len(rows))
        return rows

    batches = MicroBatches("untidy", work, 8)
    rows = rows_of([1] * 40)
    assert batches.outcomes(rows) == rows
    assert batches.size == 8
