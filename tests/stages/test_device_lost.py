# SPDX-License-Identifier: Apache-2.0
"""No GPU breaks on demand: what torch says of a broken one is put in its mouth, in a process of its own."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch

from stages.micro_batches import MicroBatches

def broken():
    raise RuntimeError("CUDA error: device-side assert triggered\\nand more")

torch.cuda.is_initialized = lambda: {there}
torch.cuda.synchronize = {synchronize}

def work(rows):
    raise ValueError("a row of evil")

print([failure.reason for failure in MicroBatches("evil", work, 4).outcomes([{{}}, {{}}])])
"""


def outcome(there, synchronize):
    script = SCRIPT.format(there=there, synchronize=synchronize)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)


def test_a_process_ends_where_its_gpu_answers_no_more():
    run = outcome(True, "broken")
    assert run.returncode == 70
    assert run.stdout == ""
    assert run.stderr.splitlines() == [
        "subjectforge: this worker's GPU works no more: CUDA error: device-side assert triggered "
        "(after ValueError); another worker takes over"
    ]


@pytest.mark.parametrize(("there", "synchronize"), [(True, "lambda: None"), (False, "broken")])
def test_other_errors_are_of_their_rows(there, synchronize):
    run = outcome(there, synchronize)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "['ValueError', 'ValueError']\n"
