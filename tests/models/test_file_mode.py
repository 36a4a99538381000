# SPDX-License-Identifier: Apache-2.0
"""What is written for others can be read by others, wherever its owner allows that."""

import os
import stat

import pytest
import torch
from safetensors.torch import save_file

from models.consistency.state import State
from models.file_mode import as_usual


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_mode_of_new_ones(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        save_file({"a": torch.zeros(2)}, tmp_path / "one.safetensors")
        as_usual(tmp_path / "one.safetensors")
        State("plain", {}, {"a": torch.zeros(2)}).save(tmp_path / "state")
    finally:
        os.umask(before)
    written = [*tmp_path.rglob("*.safetensors")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {mode}
    assert len([*tmp_path.iterdir()]) == 2
