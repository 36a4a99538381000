# SPDX-License-Identifier: Apache-2.0
"""The judge as a piece of code: what it makes of masks and logits. How right it is, a benchmark says."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.backends.protocols import MissingWeights
from models.miniature.judge import Judge, JudgeNetwork
from models.miniature.judge.network import ATTRIBUTES
from models.miniature.judge.read import _regions


def probabilities(*patches: tuple[int, tuple[slice, slice]]) -> np.ndarray:
    """Background everywhere, and nouns where they are told to be."""
    names = np.zeros((64, 64), int)
    for noun, place in patches:
        names[place] = noun
    return np.eye(13)[names].transpose(2, 0, 1) * 0.9 + 0.1 / 13


@pytest.mark.parametrize(
    ("patches", "areas"),
    [
        ([], []),
        ([(3, (slice(10, 30), slice(10, 30)))], [400]),
        ([(3, (slice(10, 30), slice(5, 25))), (3, (slice(10, 30), slice(40, 55)))], [400, 300]),
        ([(3, (slice(10, 30), slice(5, 25))), (7, (slice(10, 30), slice(25, 40)))], [400, 300]),
        ([(3, (slice(10, 30), slice(5, 25))), (7, (slice(40, 45), slice(50, 55)))], [400]),
        ([(3, (slice(10, 30), slice(5, 25))), (7, (slice(10, 14), slice(5, 9)))], [400]),
    ],
)
def test_subjects_are_patches_of_foreground_split_where_two_nouns_meet(patches, areas):
    assert [int(region.sum()) for region in _regions(probabilities(*patches))] == areas


def test_readings_are_of_their_own_pictures_in_any_batch():
    torch.manual_seed(0)
    judge = Judge(JudgeNetwork())
    images = [Image.effect_noise((80, 80), 90 + 20 * k).convert("RGB") for k in range(5)]
    together = judge.read(images)
    for image, reading in zip(images, together, strict=True):
        alone = judge.read([image])[0]
        assert alone.background == reading.background
        assert [s.identity for s in alone.subjects] == [s.identity for s in reading.subjects]
    assert judge.read([]) == []


def test_attributes_are_read_where_the_mask_is():
    torch.manual_seed(0)
    network = JudgeNetwork().eval()
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    masks = torch.zeros(3, 64, 64)
    masks[0, 10:30, 10:30] = masks[1, 30:50, 10:30] = masks[2, 10:30, 10:30] = 1
    with torch.no_grad():
        logits = network.attributes(network.features(image)[0], torch.tensor([0, 0, 1]), masks)
    assert {name: value.shape[1] for name, value in logits.items()} == {
        name: len(values) for name, values in ATTRIBUTES.items()
    }
    for value in logits.values():
        assert not torch.allclose(value[0], value[1])
        assert not torch.allclose(value[0], value[2])


def test_missing_weights_are_one_line(tmp_path):
    with pytest.raises(MissingWeights, match="miniature train judge"):
        Judge.from_pretrained(tmp_path)
