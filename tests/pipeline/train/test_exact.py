# SPDX-License-Identifier: Apache-2.0
"""A training is the same however often it is interrupted and however many processes do it; real processes."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.train.command import train_subjects
from tests.pipeline.runs import subjectforge
from tests.pipeline.train.trainings import CONFIG, STEPS, difference, settings, short_config

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(built, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "run"
    train_subjects(short_config(built, speed__workers=0), run)
    return run


def recorded(run):
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def begun(built, run, steps, **changes):
    """A training that has done so many steps, as a process."""
    options = [*settings(built, **changes), "--output", run]
    command = [sys.executable, "-m", "pipeline", "train", CONFIG, *options]
    process = subprocess.Popen(
        [*map(str, command)], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while len(recorded(run)) < steps:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process


def test_a_line_a_step(undisturbed):
    lines = recorded(undisturbed)
    assert [line["step"] for line in lines] == [*range(1, STEPS + 1)]
    assert all(line["loss"] > 0 and line["gradient_norm"] > 0 for line in lines)
    assert lines[0]["gate"] < lines[-1]["gate"]


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_continued_bit_for_bit(built, undisturbed, tmp_path, workers):
    run = tmp_path / "run"
    process = begun(built, run, 4, speed__workers=workers)
    process.kill()
    process.communicate()
    again = subjectforge("train", CONFIG, *settings(built, speed__workers=workers), "--output", run)
    assert again.returncode == 0, again.stderr
    assert difference(undisturbed, run) == 0
    assert [line["step"] for line in recorded(run)] == [*range(1, STEPS + 1)]
    names = ("step", "loss", "gradient_norm", "gate")
    assert [[line[n] for n in names] for line in recorded(run)] == [
        [line[n] for n in names] for line in recorded(undisturbed)
    ]


def test_ctrl_c_saves_and_ends_well(built, tmp_path):
    more = {"max_steps": 1000, "checkpoint_every": 1000, "optimiser__schedule": "constant"}
    process = begun(built, tmp_path / "run", 1, **more)
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "the same command again goes on" in output
    done = len(recorded(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == [f"step-{done:08d}"]


@pytest.mark.parametrize("workers", [0, 2])
def test_sigterm_saves_and_ends_well(built, undisturbed, tmp_path, workers):
    run = tmp_path / "run"
    more = {"max_steps": 1000, "checkpoint_every": 1000, "speed__workers": workers}
    process = begun(built, run, 1, optimiser__schedule="constant", **more)
    # As a cluster's scheduler does it: to all that the command has started.
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= workers
    for each in (*children, process):
        each.send_signal(signal.SIGTERM)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "the same command again goes on" in output
    done = len(recorded(run))
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"step-{done:08d}"]
    assert not (run / "export").exists()
    assert not psutil.wait_procs(children, timeout=30)[1]


MORE = {"optimiser__min_snr": 5.0, "speed__gradient_checkpointing": True, "speed__micro_batch": 1}


@pytest.fixture(scope="module")
def weighted(built, tmp_path_factory):
    """Undisturbed as well, with weights for timesteps; at once and plainly."""
    run = tmp_path_factory.mktemp("run") / "run"
    train_subjects(short_config(built, speed__workers=0, optimiser__min_snr=5.0), run)
    return run


def test_weights_for_timesteps_change_a_training(undisturbed, weighted):
    assert difference(undisturbed, weighted) > 1e-6


@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ("undisturbed", {"speed__parallel": "ddp"}),
        ("undisturbed", {"speed__parallel": "fsdp"}),
        ("weighted", {"speed__parallel": "ddp", **MORE}),
        ("weighted", {"speed__parallel": "fsdp", **MORE}),
    ],
)
def test_two_processes_do_what_one_does(built, request, tmp_path, wanted, changes):
    """Also in pieces and with less memory."""
    undisturbed = request.getfixturevalue(wanted)
    run = tmp_path / "run"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [*settings(built, **changes), "--output", run]
    command = [*launcher, "-m", "pipeline", "train", CONFIG, *options]
    done = subprocess.run([*map(str, command)], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert difference(undisturbed, run) <= 1e-6
    for one, other in zip(recorded(undisturbed), recorded(run), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)
        assert one["replaced"] == other["replaced"]
    assert (run / "export" / "model_index.json").exists()


def test_pieces_add_up_to_the_batch(built, undisturbed, tmp_path):
    train_subjects(short_config(built, speed__micro_batch=1), tmp_path / "run")
    assert difference(undisturbed, tmp_path / "run") <= 1e-6
