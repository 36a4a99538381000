# SPDX-License-Identifier: Apache-2.0
"""The same training on Ray Train, with a real local cluster."""

import pytest

from pipeline.train.command import train_subjects
from tests.pipeline.runs import one_line, subjectforge
from tests.pipeline.train.trainings import CONFIG, difference, settings, short_config


def test_two_processes_of_ray_do_what_one_does(built, tmp_path):
    alone, run = tmp_path / "alone", tmp_path / "run"
    train_subjects(short_config(built, max_steps=3), alone)
    options = (*settings(built, max_steps=3), "--output", run, "--processes", 2)
    done = subjectforge("train", CONFIG, *options)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 steps" in done.stdout
    assert difference(alone, run, step=3) <= 1e-6


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--processes", "99"), "99 CPUs"),
        (("--processes", "2", "--address", "127.0.0.1:1"), "127.0.0.1:1"),
        (("--address", "auto"), "--processes"),
    ],
)
def test_mistakes(built, tmp_path, options, part):
    line = one_line(subjectforge("train", CONFIG, *settings(built), "--output", tmp_path / "run", *options))
    assert part in line
