# SPDX-License-Identifier: Apache-2.0
"""Damaged files: a picture or a documented reason comes of each. The benchmark does it with thousands."""

import os
import signal
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faults import fuzz_verdict
from benchmarks.faults.fuzz import run, run_numbers
from benchmarks.faults.fuzz_seeds import KINDS, seeds
from benchmarks.faults.fuzz_verdict import UnexplainedError, verdict
from benchmarks.faults.fuzz_worker import Watched
from benchmarks.faults.mutations import mutated

ONCE_FAILED = yaml.safe_load(Path(__file__).with_name("fuzz_once_failed.yaml").read_text())


def test_every_damaged_file_is_a_picture_or_has_a_reason():
    result = run(inputs=1200, seed=7)
    assert result.faults == []
    assert result.inputs == result.outcomes.total() == 1200
    assert {"ok", "truncated", "undecodable", "not_an_image", "tar: broken_tar"} <= set(result.outcomes)


@pytest.mark.parametrize("seed", sorted({entry["seed"] for entry in ONCE_FAILED}))
def test_what_once_failed_does_so_no_more(seed):
    numbers = [entry["number"] for entry in ONCE_FAILED if entry["seed"] == seed]
    assert run_numbers(numbers, seed, workers=1).faults == []


def test_sound_files_are_found_sound(tmp_path):
    for kind in KINDS:
        for number, data in enumerate(seeds()[kind]):
            folder = tmp_path / f"{kind}{number}"
            folder.mkdir()
            assert verdict(kind, data, folder).endswith("ok"), (kind, number)


def test_an_input_is_made_again_by_its_number_and_its_seed():
    inputs = [mutated(5, number) for number in range(300)]
    assert inputs == [mutated(5, number) for number in range(300)]
    assert Counter(kind for kind, _ in inputs).keys() == set(KINDS)
    assert len({data for _, data in inputs}) > 270
    assert inputs != [mutated(6, number) for number in range(300)]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.binary(max_size=2000), st.integers(0, 40), st.floats(0, 1))
def test_any_bytes_behind_the_beginning_of_a_sound_file(tmp_path_factory, kind, data, number, share):
    sound = seeds()[kind][number % len(seeds()[kind])]
    beginning = sound[: int(share * len(sound))]
    verdict(kind, beginning + data, tmp_path_factory.mktemp("fuzz"))


@pytest.fixture
def watched():
    worker = Watched(seed=1, seconds=3)
    yield worker
    worker.close()


def test_a_worker_that_dies_is_noticed_and_followed_by_another(watched):
    watched._process.kill()
    assert watched.judge(3).fault == "crash"
    assert watched.judge(3).fault is None


def test_a_worker_that_hangs_is_noticed_and_followed_by_another(watched):
    os.kill(watched._process.pid, signal.SIGSTOP)
    assert watched.judge(3).fault == "hang"
    assert watched.judge(3).fault is None


@pytest.mark.parametrize("ending", [("error", "ZeroDivisionError"), ("rejected", "bad luck")])
def test_a_reason_that_nobody_wrote_down_is_noticed(monkeypatch, tmp_path, ending):
    row = {"status": ending[0], "stage": "read", "reason": ending[1], "detail": "x", "image": None}
    monkeypatch.setattr(fuzz_verdict, "_read", lambda: lambda table: pa.Table.from_pylist([row]))
    with pytest.raises(UnexplainedError):
        verdict("picture", b"", tmp_path)
