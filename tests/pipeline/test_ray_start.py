# SPDX-License-Identifier: Apache-2.0
"""A raylet that dies while Ray starts."""

import subprocess
import sys
import time
from contextlib import suppress

import psutil

from tests.pipeline.light import light_config, pictures
from tests.pipeline.runs import ROOT, build, one_line


def raylet_of(run):
    """The raylet as soon as it is there."""
    while run.poll() is None:
        with suppress(psutil.Error):
            for process in psutil.Process(run.pid).children(recursive=True):
                if process.name() == "raylet":
                    return process
        time.sleep(0.002)
    raise AssertionError(run.communicate())


def test_one_line_and_the_same_command_goes_on(tmp_path):
    config, source = light_config(tmp_path / "config.yaml"), pictures(tmp_path / "in", [20] * 5)
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "build",
        config,
        "--input",
        source,
        "--output",
        tmp_path / "out",
    ]
    run = subprocess.Popen(
        [*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    raylet_of(run).kill()
    out, err = run.communicate(timeout=200)
    line = one_line(subprocess.CompletedProcess(command, run.returncode, out, err))
    assert "the same command" in line
    build(source, tmp_path / "out", config=config)


def test_a_run_that_is_killed_leaves_a_line_as_well(tmp_path):
    config, source = light_config(tmp_path / "config.yaml"), pictures(tmp_path / "in", [20] * 60)
    run = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "build", config, "--input", source, "--output", tmp_path / "out"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    raylet_of(run)
    while run.poll() is None and not [*(tmp_path / "out").rglob("*.json")]:
        time.sleep(0.05)
    run.kill()
    assert "subjectforge: this run was cut off" in run.communicate(timeout=200)[1]
