# SPDX-License-Identifier: Apache-2.0
"""Trainings that end early, and what they leave behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from models.miniature.train.ended import Ended
from models.miniature.train.loop import OtherRecipe, Recipe, train
from models.miniature.train.scenes import load_scenes

RENDERING = "import sys; from pathlib import Path; from models.miniature.train.scenes import load_scenes; "


def trained(folder, kind=None, at=3):
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    torch.nn.init.ones_(model.bias)

    def losses(step):
        if step == at and kind is not None:
            os.kill(os.getpid(), kind)
        return {"sum": model.weight.square().sum() * (step + 1)}

    return train(model, losses, Recipe(steps=9, lr=1e-2, warmup=2), folder, lambda _: None).state_dict()


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_what_is_there_is_saved_first(tmp_path, kind):
    before = signal.getsignal(kind)
    with pytest.raises(Ended, match="4 of 9 steps"):
        trained(tmp_path / "stopped", kind)
    assert signal.getsignal(kind) is before
    assert torch.load(tmp_path / "stopped/checkpoint.pt", weights_only=True)["step"] == 4
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            trained(tmp_path / "stopped").values(), trained(tmp_path / "whole").values(), strict=True
        )
    )


def test_a_stop_in_the_last_step_is_an_end(tmp_path):
    assert trained(tmp_path, signal.SIGTERM, at=8)


@pytest.mark.parametrize("content", [b"junk", b"", b"PK\x03\x04 no zip"])
def test_a_damaged_checkpoint_is_told(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(OtherRecipe, match=r"checkpoint\.pt is damaged"):
        trained(tmp_path)


def children(process):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def waited(what, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def test_processes_that_render_end_with_what_started_them(tmp_path):
    code = RENDERING + f"load_scenes(Path({str(tmp_path)!r}), 5, 1_000_000)"
    with subprocess.Popen([sys.executable, "-c", code]) as rendering:
        workers = waited(lambda: children(rendering.pid))
        rendering.kill()
    waited(lambda: not any(alive(worker) for worker in workers))
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".partial")]


def test_two_that_render_the_same_do_not_disturb_each_other(tmp_path):
    code = RENDERING + f"print(load_scenes(Path({str(tmp_path)!r}), 5, 600).image_NHWC[::7].sum())"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    told = {each.communicate()[0] for each in both}
    assert len(told) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scenes-mixed-5-600-128"]
    assert np.asarray(load_scenes(tmp_path, 5, 600).image_NHWC).min(axis=(1, 2, 3)).shape == (600,)
