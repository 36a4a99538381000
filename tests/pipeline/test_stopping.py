# SPDX-License-Identifier: Apache-2.0
"""Runs that end before their work does: SIGTERM, a stall, another run in the same folder."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.events import read_events
from pipeline.stopping import Stopped, Stopper
from tests.pipeline.light import events_of, light_config, pictures
from tests.pipeline.runs import ROOT, build, digests, one_line, subjectforge

EXECUTORS = ("local", "ray")


@pytest.fixture
def source(tmp_path):
    return pictures(tmp_path / "in", list(range(20, 36)))


def started(config, source, dataset, *options):
    """A build that was begun."""
    command = [sys.executable, "-m", "pipeline", "build", config, "--input", source, "--output", dataset]
    return subprocess.Popen(
        [*map(str, command), *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(found, run, seconds=120):
    deadline = time.monotonic() + seconds
    while not found():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_hand(dataset, shard):
    return lambda: list((dataset / "_meta" / "inflight").glob(f"{shard}.*"))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_sigterm_lets_what_is_in_hand_be_finished(tmp_path, source, executor):
    gate, dataset = tmp_path / "gate", tmp_path / "out"
    fields = {"shard": "00001", "until": str(gate)}
    config = light_config(tmp_path / "config.yaml", ("Waits", fields))
    run = started(config, source, dataset, "--executor", executor, "--grace", 60)
    until(in_hand(dataset, "00001"), run)
    run.send_signal(signal.SIGTERM)
    time.sleep(1)
    gate.touch()
    said, complaints = run.communicate(timeout=120)
    assert run.returncode == 0, complaints
    assert "stopped by SIGTERM" in said
    assert "the same command goes on" in said
    assert "Traceback" not in complaints
    assert "SIGTERM" not in complaints
    done = [name for name in digests(dataset) if name.endswith("_stats.json")]
    assert "train/00001_stats.json" in done
    assert len(done) < 4
    assert events_of(dataset)[-1] == "stop"
    assert not (dataset / "_meta" / "lease.json").exists()
    build(source, dataset, "--executor", "local", config=config)
    build(source, tmp_path / "calm", "--executor", "local", config=config)
    assert digests(dataset) == digests(tmp_path / "calm")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_is_not_done_when_the_grace_is_over_is_abandoned(tmp_path, source, executor):
    gate, dataset = tmp_path / "gate", tmp_path / "out"
    config = light_config(tmp_path / "config.yaml", ("Waits", {"shard": "00001", "until": str(gate)}))
    run = started(config, source, dataset, "--executor", executor, "--grace", 1)
    until(in_hand(dataset, "00001"), run)
    run.send_signal(signal.SIGTERM)
    said, complaints = run.communicate(timeout=120)
    assert run.returncode == 0, complaints
    assert "stopped by SIGTERM" in said
    assert "Traceback" not in complaints
    gate.touch()
    build(source, dataset, "--executor", "local", config=config)
    build(source, tmp_path / "calm", "--executor", "local", config=config)
    assert digests(dataset) == digests(tmp_path / "calm")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_run_in_which_nothing_moves_says_who_waits_and_ends(tmp_path, source, executor):
    gate, dataset = tmp_path / "gate", tmp_path / "out"
    config = light_config(tmp_path / "config.yaml", ("Waits", {"shard": "00001", "until": str(gate)}))
    limits = ("--stall-after", 0.05, "--stall-limit", 0.6)
    run = started(config, source, dataset, "--executor", executor, *limits)
    said, complaints = run.communicate(timeout=200)
    assert run.returncode == 75, said + complaints
    lines = [line for line in complaints.splitlines() if "nothing has moved" in line]
    assert "Waits is at rows 0 to 0 of shard 00001" in lines[-1]
    assert "ended by the watchdog" in said
    assert "Traceback" not in complaints
    assert {"stall", "stalled_out", "stop"} <= set(events_of(dataset))
    gate.touch()
    build(source, dataset, "--executor", "local", config=config)
    build(source, tmp_path / "calm", "--executor", "local", config=config)
    assert digests(dataset) == digests(tmp_path / "calm")


def test_a_second_run_is_refused_until_the_first_is_dead(tmp_path, source):
    gate, dataset = tmp_path / "gate", tmp_path / "out"
    config = light_config(tmp_path / "config.yaml", ("Waits", {"shard": "00001", "until": str(gate)}))
    first = started(config, source, dataset, "--executor", "local")
    until(in_hand(dataset, "00001"), first)
    arguments = ("build", config, "--input", source, "--output", dataset, "--executor", "local")
    line = one_line(subjectforge(*arguments))
    assert f"process {first.pid}" in line
    assert "another --output" in line
    assert first.poll() is None
    assert f"process {first.pid}" in subjectforge("verify", dataset).stdout.splitlines()[0]
    first.kill()
    first.wait()
    assert "is being written" not in subjectforge("verify", dataset).stdout
    gate.touch()
    build(source, dataset, "--executor", "local", config=config)
    build(source, tmp_path / "calm", "--executor", "local", config=config)
    assert digests(dataset) == digests(tmp_path / "calm")
    runs = {event["run"] for event in read_events(dataset)}
    assert len(runs) == 2


def test_a_run_whose_folder_was_taken_stops_before_it_writes(tmp_path, source):
    gate, dataset = tmp_path / "gate", tmp_path / "out"
    config = light_config(tmp_path / "config.yaml", ("Waits", {"shard": "00001", "until": str(gate)}))
    run = started(config, source, dataset, "--executor", "local")
    until(in_hand(dataset, "00001"), run)
    lease = dataset / "_meta" / "lease.json"
    lease.write_text(lease.read_text().replace('"token": "', '"token": "0'))
    before = digests(dataset)
    gate.touch()
    said, complaints = run.communicate(timeout=120)
    assert run.returncode == 2, said
    assert "another run took it over" in complaints
    assert digests(dataset) == before
    assert lease.exists()


def until_stopped_in_compiled_code():
    with Stopper(5.0):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Stopped as stopped:
            raise SystemError("returned a result with an exception set") from stopped


def test_what_compiled_code_makes_of_an_end_is_that_end():
    with pytest.raises(Stopped, match="SIGTERM") as told:
        until_stopped_in_compiled_code()
    assert told.value.code == 0
    with pytest.raises(SystemError), Stopper(5.0):
        raise SystemError("of its own")
