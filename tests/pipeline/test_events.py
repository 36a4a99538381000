# SPDX-License-Identifier: Apache-2.0
"""A log that survives crashes and full disks, appended to or written again and again."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.events import EventName, Events, read_events
from tests.pipeline.full_disk import fill_up
from tests.pipeline.runs import ROOT

BOTH = pytest.mark.parametrize("appends", [True, False], ids=["appended", "rewritten"])
WORDS = st.text(st.characters(codec=None), max_size=20)
FIELDS = st.dictionaries(
    WORDS, WORDS | st.integers() | st.booleans() | st.lists(WORDS, max_size=3), max_size=4
)


def log(root):
    return root / "_meta" / "events.jsonl"


def silent(line):
    pytest.fail(f"nothing was wrong: {line}")


@BOTH
def test_what_was_told_is_read_in_order(tmp_path, appends):
    before = datetime.now(UTC)
    with Events(tmp_path, "run-1", appends=appends, complain=silent) as events:
        for number, name in enumerate(get_args(EventName)):
            events.tell(name, number=number, where=tmp_path)
    found = list(read_events(tmp_path))
    assert [event["event"] for event in found] == list(get_args(EventName))
    assert [event["number"] for event in found] == list(range(len(found)))
    assert {(event["run"], event["where"]) for event in found} == {("run-1", str(tmp_path))}
    times = [datetime.fromisoformat(event["time"]) for event in found]
    assert times == sorted(times)
    assert before - timedelta(milliseconds=1) <= times[0] <= times[-1] <= datetime.now(UTC)


@BOTH
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=FIELDS)
def test_whatever_the_fields_are_an_event_is_one_line(tmp_path_factory, appends, fields):
    root = tmp_path_factory.mktemp("events")
    fields = {name: value for name, value in fields.items() if name not in {"time", "run", "event"}}
    with Events(root, "r", appends=appends, complain=silent) as events:
        events.tell("stall", **fields)
    (path,) = (path for path in (root / "_meta").rglob("*.jsonl"))
    assert len(path.read_text().splitlines()) == 1
    (event,) = read_events(root)
    assert {name: event[name] for name in fields} == fields


@BOTH
def test_nothing_is_written_before_the_first_event(tmp_path, appends):
    with Events(tmp_path, "r", appends=appends):
        pass
    assert list(tmp_path.iterdir()) == []
    assert list(read_events(tmp_path)) == []
    assert list(read_events(tmp_path / "nowhere")) == []


@BOTH
def test_runs_add_to_what_is_there(tmp_path, appends):
    for run in ("b", "a", "b"):
        with Events(tmp_path, run + str(len(list(read_events(tmp_path)))), appends=appends) as events:
            events.tell("start")
            events.tell("end")
    runs = [event["run"] for event in read_events(tmp_path)]
    assert sorted(runs) == sorted(["b0", "b0", "a2", "a2", "b4", "b4"])


def test_an_event_is_on_disk_when_telling_it_returns(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from pipeline.events import Events\n"
        "events = Events(Path(sys.argv[1]), 'r')\n"
        "for number in range(3): events.tell('shard', number=number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT)
    assert run.returncode == -signal.SIGKILL
    assert [event["number"] for event in read_events(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_was_cut_off_costs_only_itself(tmp_path, kept):
    events = Events(tmp_path, "r")
    for number in range(2):
        events.tell("shard", number=number)
    first, second = log(tmp_path).read_bytes().splitlines(keepends=True)
    log(tmp_path).write_bytes(first + second[:kept])
    events.tell("shard", number=2)
    numbers = [event["number"] for event in read_events(tmp_path)]
    assert numbers == ([0, 1, 2] if kept == -1 else [0, 2])


def test_lines_that_are_no_events_are_skipped(tmp_path):
    events = Events(tmp_path, "r")
    events.tell("start")
    with log(tmp_path).open("ab") as stream:
        stream.write(b'\n\xff\n{}\n[]\n7\n{"event": "start"}\n' + b"[" * 100_000 + b"\n")
    events.tell("end")
    assert [event["event"] for event in read_events(tmp_path)] == ["start", "end"]


@BOTH
def test_threads_do_not_mix_their_lines(tmp_path, appends):
    with Events(tmp_path, "r", appends=appends, every=0.001, complain=silent) as events:

        def work(thread):
            for number in range(50):
                events.tell("retry", thread=thread, number=number)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = list(read_events(tmp_path))
    assert len(found) == 200
    for thread in range(4):
        assert [event["number"] for event in found if event["thread"] == thread] == list(range(50))


@BOTH
def test_only_events_that_exist_can_be_told(tmp_path, appends):
    events = Events(tmp_path, "r", appends=appends)
    with pytest.raises(ValueError, match="begin"):
        events.tell("begin")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="run"):
        events.tell("start", run="another")
    events.close()
    assert list(read_events(tmp_path)) == []


@BOTH
def test_what_cannot_be_written_is_told_once_and_ends_nothing(tmp_path, appends):
    (tmp_path / "_meta").write_text("in the way")
    told = []
    with Events(tmp_path, "r", appends=appends, every=0.001, complain=told.append) as events:
        events.tell("start")
        while not told:
            time.sleep(0.01)
        events.tell("end")
        assert len(told) == 1
        assert "_meta/events" in told[0]
        assert events.failure
        assert events.failure in told[0]
        (tmp_path / "_meta").unlink()
        events.tell("stop")
    assert len(told) == 1
    expected = ["stop"] if appends else ["start", "end", "stop"]
    assert [event["event"] for event in read_events(tmp_path)] == expected


@BOTH
def test_a_full_disk_costs_no_more_than_the_events_of_that_time(tiny_disk, appends):
    told = []
    with Events(tiny_disk, "r", appends=appends, every=0.001, complain=told.append) as events:
        events.tell("start")
        while not list(read_events(tiny_disk)):
            time.sleep(0.01)
        fill_up(tiny_disk / "full")
        number = 0
        while not told:
            events.tell("shard", number=number)
            number += 1
            time.sleep(0.01)
        (tiny_disk / "full").unlink()
        events.tell("end")
    assert len(told) == 1
    assert "No space left" in told[0]
    names = [event["event"] for event in read_events(tiny_disk)]
    assert (names[0], names[-1]) == ("start", "end")
    # At most the event that found the disk full.
    assert names.count("shard") in ((number - 1,) if appends else (number,))


def test_a_place_without_appending_gets_whole_files_from_time_to_time(tmp_path):
    folder = tmp_path / "_meta" / "events"
    events = Events(tmp_path, "r", appends=False, every=0.01, complain=silent)
    for number in range(3):
        events.tell("shard", number=number)
        while len(list(read_events(tmp_path))) <= number:
            time.sleep(0.01)
    assert [path.name for path in folder.iterdir()] == ["r-0000.jsonl"]
    events.close()
    events.tell("end")
    events.close()
    assert [event["event"] for event in read_events(tmp_path)] == ["shard"] * 3 + ["end"]


def test_between_the_writings_nothing_is_written(tmp_path):
    events = Events(tmp_path, "r", appends=False, every=1000.0)
    events.tell("start")
    events.tell("shard")
    assert list(tmp_path.iterdir()) == []
    events.close()
    assert len(list(read_events(tmp_path))) == 2


def test_a_long_log_is_written_in_parts(tmp_path):
    text = "x" * 100_000
    with Events(tmp_path, "r", appends=False, every=0.001) as events:
        for number in range(30):
            events.tell("shard", number=number, text=text)
            if number % 10 == 9:
                while len(list(read_events(tmp_path))) <= number:
                    time.sleep(0.01)
    sizes = [path.stat().st_size for path in (tmp_path / "_meta" / "events").iterdir()]
    assert len(sizes) > 1
    assert [event["number"] for event in read_events(tmp_path)] == list(range(30))


def test_without_a_flag_the_place_decides(tmp_path):
    with Events(tmp_path, "r") as events:
        events.tell("start")
    assert [path.name for path in Path(tmp_path, "_meta").iterdir()] == ["events.jsonl"]
    assert json.loads(log(tmp_path).read_text())["event"] == "start"
    assert os.stat(log(tmp_path)).st_mode & 0o777 & ~0o644 == 0
