# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from pipeline.operators import Operator
from pipeline.watchdog import Patience, Watchdog
from stages.attempts import Notes
from stages.base import Resources
from stages.filter_image import FilterImage
from stages.write import Write

CHAIN = [
    Operator((("filter_image", FilterImage()),), Resources()),
    Operator((("write", Write()),), Resources()),
]


@pytest.fixture
def watched(tmp_path):
    said, ended, deaths = [], [], []

    def watchdog(tell_after, end_after):
        return Watchdog(
            tmp_path, CHAIN, Patience(tell_after, end_after), said.append, ended.append,
            lambda: "free in the cluster: 1 CPUs", lambda *death: deaths.append(death),
        )  # fmt: skip

    return watchdog, said, ended, deaths


def wait_for(found, seconds=20):
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_says_who_is_at_what_and_who_waits_and_then_ends_the_run(tmp_path, watched):
    watchdog, said, ended, _ = watched
    attempts = Notes(str(tmp_path), "run").about(7, "filter_image")
    attempts.narrow(3, 5)
    with watchdog(0.3, 1.0):
        wait_for(lambda: ended)
        time.sleep(0.5)
    assert len(ended) == 1
    assert "filter_image is at rows 3 to 5 of shard 00007; write wait for rows or for a worker" in said[0]
    assert said[0].endswith("free in the cluster: 1 CPUs")


def test_where_something_moves_it_says_nothing(tmp_path, watched):
    watchdog, said, ended, _ = watched
    attempts = Notes(str(tmp_path), "run").about(7, "filter_image")
    with watchdog(1.5, 3.0):
        for place in range(40):
            attempts.narrow(place, place)
            time.sleep(0.1)
    assert (said, ended) == ([], [])


def test_it_never_ends_a_run_that_may_wait_for_ever(watched):
    watchdog, said, ended, _ = watched
    with watchdog(0.2, 0):
        wait_for(lambda: len(said) > 2)
    assert ended == []


def test_it_tells_of_every_death_once(tmp_path, watched):
    watchdog, _, _, deaths = watched
    notes = Notes(str(tmp_path), "run")
    with watchdog(1.0, 0):
        for _ in range(3):
            notes.about(7, "filter_image")
        wait_for(lambda: deaths)
        time.sleep(0.5)
    assert deaths[-1] == ("00007", "filter_image", 2)
    assert len(deaths) == len(set(deaths))
