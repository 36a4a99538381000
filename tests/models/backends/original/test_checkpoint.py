# SPDX-License-Identifier: Apache-2.0
"""Files of the authors' checkpoints, and files that are none."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from models.backends.original.checkpoint import count_of, read_checkpoint, size_of
from models.backends.protocols import MissingWeights

TENSORS = {"layers.0.weight": torch.ones(2, 3), "layers.1.weight": torch.zeros(2, 3)}


class Harmful:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    "told",
    [
        TENSORS,
        {"model": TENSORS, "epoch": 3},
        {"model": {f"module.{name}": each for name, each in TENSORS.items()}},
        {"state_dict": TENSORS},
    ],
    ids=["bare", "trainer", "parallel", "lightning"],
)
def test_tensors_are_found_wherever_trainers_put_them(tmp_path, told):
    torch.save(told, tmp_path / "a.pth")
    found = read_checkpoint(tmp_path / "a.pth")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], each) for name, each in TENSORS.items())


def test_safetensors_are_read_as_well(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    assert read_checkpoint(tmp_path / "a.safetensors").keys() == TENSORS.keys()


def test_no_code_is_run(tmp_path):
    torch.save({"model": TENSORS, "args": Harmful(tmp_path / "harm")}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(MissingWeights, match="tensors alone"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.pth", b"", "damaged, cut off"),
        ("a.pth", b"<html>", "tensors alone"),
        ("a.safetensors", b"{}", "damaged, cut off"),
        ("A.SAFETENSORS", b"{}", "damaged, cut off"),
        (None, b"", "no checkpoint"),
    ],
)
def test_other_files_are_told(tmp_path, name, content, told):
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MissingWeights, match=told):
        read_checkpoint(tmp_path / (name or "a.pth"))


def test_a_file_without_tensors_is_told(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(MissingWeights, match="no tensors"):
        read_checkpoint(tmp_path / "a.pth")


def test_sizes():
    assert count_of(TENSORS, "layers.") == 2
    assert count_of(TENSORS, "blocks.") == 0
    assert size_of(TENSORS, "layers.0.weight", 1) == 3
    with pytest.raises(MissingWeights, match="of another model"):
        size_of(TENSORS, "layers.2.weight")
