# SPDX-License-Identifier: Apache-2.0
"""Rows that end the process they are worked on in, found by processes that really end."""

import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.isolation import check_deaths, isolated
from stages.attempts import Attempts, Notes
from stages.base import Stage, StageError
from stages.columns import LEDGER
from stages.rows import table_function


class _Anything(Stage):
    inputs = ("key",)
    outputs = pa.schema([pa.field("made", pa.string())])

    def setup(self):
        raise NotImplementedError


def rows(count):
    given = [
        {"key": f"00000-{n:05d}", "source_key": str(n), "source_uri": "x", "status": "ok"}
        for n in range(count)
    ]
    return pa.Table.from_pylist(given, LEDGER)


def outlived(table, killers, batch, folder, kills_alone=True):
    """Work on a table in one process after another until one lives; the table, and how many died."""

    def work(given):
        numbers = [int(row["key"][-5:]) for row in given]
        if killers & {*numbers} and (kills_alone or len(given) > 1):
            os._exit(9)
        return [{"made": row["key"]} for row in given]

    notes, deaths, place = Notes(str(folder / "notes"), "run"), 0, folder / "table"
    while True:
        if not (child := os.fork()):
            attempts = notes.about(0, "stage")
            check_deaths(attempts, 0, "stage", len(attempts.culprits("stage")))
            function = table_function(_Anything(), "stage", work, batch)
            feather.write_feather(isolated("stage", function, table, attempts), place)
            attempts.end()
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return feather.read_table(place), deaths
        deaths += 1
        assert deaths < 60


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 14), st.sets(st.integers(0, 13), max_size=3), st.integers(1, 6))
def test_those_that_kill_are_lost_and_no_others(count, killers, batch):
    killers = {number for number in killers if number < count}
    with tempfile.TemporaryDirectory() as folder:
        table, deaths = outlived(rows(count), killers, batch, Path(folder))
        assert not list(Path(folder, "notes").iterdir())
    lost = {n for n, status in enumerate(table["status"].to_pylist()) if status == "error"}
    assert lost == killers
    made = [None if n in killers else f"00000-{n:05d}" for n in range(count)]
    assert table["made"].to_pylist() == made
    assert {table["reason"][n].as_py() for n in killers} <= {"worker_died"}
    assert 2 * len(killers) <= deaths <= 4 * len(killers)


def test_rows_that_kill_only_together_are_done_alone(tmp_path):
    table, deaths = outlived(rows(4), {0, 1, 2, 3}, 2, tmp_path, kills_alone=False)
    assert set(table["status"].to_pylist()) == {"ok"}
    assert table["made"].to_pylist() == table["key"].to_pylist()
    assert deaths == 4


def test_deaths_of_another_run_mean_nothing(tmp_path):
    for _ in range(3):
        with Attempts(tmp_path / "00000.stage.jsonl", "earlier").together("stage", 4):
            pass
    attempts = Attempts(tmp_path / "00000.stage.jsonl", "later")
    assert (attempts.deaths, attempts.suspects("stage")) == ([], [])


def test_notes_that_cannot_be_written_are_done_without(tmp_path):
    (tmp_path / "file").touch()
    for place in (Notes(), Notes(str(tmp_path / "file" / "below"), "run")):
        attempts = place.about(3, "stage")
        with attempts.together("stage", 4):
            attempts.narrow(1, 2)
        attempts.end()
        assert attempts.deaths == []


def test_a_note_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "00000.stage.jsonl"
    for _ in range(2):
        attempts = Attempts(path, "run")
        attempts.narrow(1, 2)
    with path.open("ab") as stream:
        stream.write(b'{"run": "run", "hand": ["st')
    assert len(Attempts(path, "run").deaths) == 2


def test_a_shard_that_kills_for_no_rows_sake_is_given_up(tmp_path):
    path = tmp_path / "00000.stage.jsonl"
    for death in range(14):
        attempts = Attempts(path, "run")
        if death < 13:
            check_deaths(attempts, 0, "stage", 0)
    with pytest.raises(StageError, match="13 workers died over shard 00000"):
        check_deaths(attempts, 0, "stage", 0)
    check_deaths(attempts, 0, "stage", 1)
