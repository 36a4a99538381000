# SPDX-License-Identifier: Apache-2.0
"""In a process of its own: what is set here stays set."""

import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from models.backends.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(40):
        tensors = [torch.zeros(2_000_000), torch.zeros(20_000_000)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual, told = faults(), keep_freed_memory()
faults()
print(usual, told, faults())
"""


def test_memory_that_was_freed_is_used_again():
    run = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    usual, told, kept = run.stdout.split()
    if told == "False":
        pytest.skip("this C library cannot be told")
    assert int(kept) < int(usual) / 10
