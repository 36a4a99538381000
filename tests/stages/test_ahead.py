# SPDX-License-Identifier: Apache-2.0
import threading
import weakref

import pytest

from stages.ahead import PREPARED, Ahead, Prepare


class Made:
    """Something that can be seen to go."""


def rows_of(count):
    return [{"number": number} for number in range(count)]


@pytest.mark.parametrize("threads", [1, 3])
def test_every_row_gets_its_own_result_in_any_number_of_threads(threads):
    rows = rows_of(7)
    with Ahead(Prepare(lambda row: 10 * row["number"], threads), rows, 2) as ahead:
        for first in range(0, 7, 2):
            last = min(first + 1, 6)
            ahead.begin(first, last)
            found = [row[PREPARED]() for row in rows[first : last + 1]]
            assert found == [10 * number for number in range(first, last + 1)]
    assert rows == rows_of(7)


def test_the_next_rows_are_made_while_these_are_in_hand():
    began = {number: threading.Event() for number in range(8)}
    with Ahead(Prepare(lambda row: began[row["number"]].set(), 2), rows_of(8), 3) as ahead:
        assert ahead.begin(0, 1) == 4
        assert all(began[number].wait(20) for number in range(5))
        assert not began[5].is_set()
        assert ahead.begin(2, 6) == 7


def test_nothing_is_made_ahead_in_one_thread():
    asked = []
    rows = rows_of(4)
    with Ahead(Prepare(lambda row: asked.append(row["number"])), rows, 2) as ahead:
        assert ahead.begin(0, 1) == 1
        assert asked == []
        rows[1][PREPARED]()
        assert asked == [1]


def test_what_was_made_goes_once_the_rows_after_it_are_begun():
    made = []

    def make(row):
        found = Made()
        made.append(weakref.ref(found))
        return found

    rows = rows_of(4)
    with Ahead(Prepare(make, 2), rows, 0) as ahead:
        ahead.begin(0, 0)
        rows[0][PREPARED]()
        assert made[0]() is not None
        ahead.begin(1, 1)
        assert made[0]() is None


def test_what_fails_is_told_where_it_is_asked_for_and_again_in_the_next_attempt():
    def fails(row):
        if row["number"] == 1:
            raise OSError("no picture")
        return row["number"]

    rows = rows_of(3)
    with Ahead(Prepare(fails, 2), rows, 3) as ahead:
        ahead.begin(0, 2)
        for _ in range(2):
            with pytest.raises(OSError, match="no picture"):
                rows[1][PREPARED]()
        assert rows[2][PREPARED]() == 2


def test_what_has_failed_is_made_anew_in_the_next_attempt():
    attempts = []

    def short_of_memory_once(row):
        attempts.append(row["number"])
        if len(attempts) == 1:
            raise MemoryError
        return row["number"]

    rows = rows_of(1)
    with Ahead(Prepare(short_of_memory_once, 2), rows, 1) as ahead:
        ahead.begin(0, 0)
        with pytest.raises(MemoryError):
            rows[0][PREPARED]()
        ahead.begin(0, 0)
        assert rows[0][PREPARED]() == 0


def test_rows_without_anything_to_prepare_are_left_as_they_are():
    rows = rows_of(2)
    with Ahead(None, rows, 4) as ahead:
        assert ahead.begin(0, 1) == 1
        assert rows == rows_of(2)
