# SPDX-License-Identifier: Apache-2.0
"""A subject is learnt once, however many processes ask for it, and whatever befalls them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from models.consistency.learned import learned
from models.consistency.state import State

ROOT = Path(__file__).parents[3]
ASKS = """
import sys, time, os
from pathlib import Path
import torch
from models.consistency.learned import learned
from models.consistency.state import State
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
def learn():
    with (folder.parent / "calls").open("a") as calls:
        calls.write(f"{os.getpid()}\\n")
    time.sleep(seconds)
    return State("dco", {"words": ["cat"]}, {"row": torch.full((3,), float(os.getpid()))})
state, took = learned(folder, learn)
print(int(state.tensors["row"][0]))
"""


def asking(folder, seconds):
    command = [sys.executable, "-c", ASKS, str(folder), str(seconds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_learns_and_both_have_it(tmp_path):
    runs = [asking(tmp_path / "cat", 1.0) for _ in range(2)]
    told = [run.communicate(timeout=120)[0].strip() for run in runs]
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == 1
    assert told == calls * 2


def test_whoever_is_killed_while_learning_leaves_it_to_the_next(tmp_path):
    first = asking(tmp_path / "cat", 60)
    while not (tmp_path / "calls").exists():
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = asking(tmp_path / "cat", 0)
    assert second.communicate(timeout=120)[0].strip() == str(second.pid)


def test_how_long_it_took_is_remembered(tmp_path):
    def learn():
        time.sleep(0.05)
        return State("dco", {}, {"row": torch.ones(2)})

    _, took = learned(tmp_path / "cat", learn)
    state, again = learned(tmp_path / "cat", lambda: pytest.fail("it is learnt already"))
    assert took == again >= 0.05
    assert state.tensors["row"].tolist() == [1, 1]


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flipped(path):
    stored = bytearray(path.read_bytes())
    stored[-1] ^= 1
    path.write_bytes(stored)


def test_what_is_no_folder_or_took_no_time_is_learnt_again(tmp_path):
    (tmp_path / "cat").write_text("in the way")
    state = State("dco", {"words": ["cat"]}, {"row": torch.ones(2)})
    learned(tmp_path / "cat", lambda: state)
    about = tmp_path / "cat" / "learned.json"
    about.write_text(json.dumps({**json.loads(about.read_text()), "seconds": float("nan")}))
    assert learned(tmp_path / "cat", lambda: state)[1] >= 0


@pytest.mark.parametrize("file", ["state.safetensors", "state.json", "learned.json"])
@pytest.mark.parametrize("damaged", [cut, flipped, Path.unlink])
def test_what_is_damaged_is_learnt_again(tmp_path, file, damaged):
    learned(tmp_path / "cat", lambda: State("dco", {"words": ["cat"]}, {"row": torch.ones(2)}))
    damaged(tmp_path / "cat" / file)
    anew = State("dco", {"words": ["cat"]}, {"row": torch.zeros(2)})
    state, _ = learned(tmp_path / "cat", lambda: anew)
    assert state.tensors["row"].tolist() == [0, 0]
    state, _ = learned(tmp_path / "cat", lambda: pytest.fail("it is learnt already"))
    assert state.tensors["row"].tolist() == [0, 0]
