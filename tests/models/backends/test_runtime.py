# SPDX-License-Identifier: Apache-2.0
"""Where a backend runs, and weights that are not all there."""

import shutil

import pytest
from safetensors.torch import load_file, save_file

from models.backends.protocols import BackendError, MissingDevice, MissingWeights
from models.backends.runtime import Runtime
from models.backends.sam import Sam
from models.miniature import WEIGHTS


@pytest.fixture
def segmenter(tmp_path):
    return shutil.copytree(WEIGHTS / "segmenter", tmp_path / "segmenter")


def test_a_checkpoint_that_lacks_a_part_is_refused(segmenter):
    path = segmenter / "model.safetensors"
    tensors = load_file(path)
    lost = next(name for name in tensors if "mask_decoder" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, path, {"format": "pt"})
    with pytest.raises(MissingWeights, match=f"lack 1 parts .*{lost}"):
        Sam(model=str(segmenter)).load()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "processor_config.json"])
def test_a_damaged_file_is_one_line(segmenter, name):
    path = segmenter / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MissingWeights) as error:
        Sam(model=str(segmenter)).load()
    assert "\n" not in str(error.value)


def test_weights_of_another_model_are_refused():
    with pytest.raises(MissingWeights):
        Sam(model="miniature:tagger").load()


def test_a_gpu_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(MissingDevice, match="cuda:99") as error:
        Sam(model="miniature:segmenter", device="cuda:99").load()
    assert isinstance(error.value, BackendError)


@pytest.mark.parametrize("device", ["potato", "cuda:", "CPU", ""])
def test_what_is_no_device_is_refused_at_once(device):
    with pytest.raises(ValueError, match="device"):
        Runtime(device=device)
