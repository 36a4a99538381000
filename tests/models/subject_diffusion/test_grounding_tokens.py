# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from diffusers.models.embeddings import get_fourier_embeds_from_boundingbox

from models.subject_diffusion.grounding_tokens import BANDS, BOX_WIDTH, GroundingTokens

TRUE = torch.tensor([[True, True]])


@pytest.fixture
def tokens():
    torch.manual_seed(0)
    module = GroundingTokens(9, 24, 32)
    torch.nn.init.normal_(module.null_patch)
    torch.nn.init.normal_(module.null_box)
    return module


def given(seed=1):
    torch.manual_seed(seed)
    return torch.randn(1, 2, 9, 24), torch.tensor([[[0.1, 0.2, 0.5, 0.6], [0.4, 0.0, 1.0, 0.9]]])


def test_a_box_in_frequencies():
    box = torch.tensor([[[0.0, 0.25, 0.5, 1.0]]])
    found = get_fourier_embeds_from_boundingbox(BANDS, box)[0, 0]
    expected = [0, 0.2474, 0.4794, 0.8415, 1, 0.9689, 0.8776, 0.5403]
    expected += [0, 0.4301, 0.7765, 0.9786, 1, 0.9028, 0.6301, -0.2060]
    assert found.shape == (BOX_WIDTH,) == (64,)
    assert torch.allclose(found[:16], torch.tensor(expected), atol=1e-4)


def test_shape_at_full_size():
    module = GroundingTokens(256, 1280, 1024)
    patches, boxes = torch.randn(2, 2, 256, 1280), torch.rand(2, 2, 4)
    assert module(patches, boxes, TRUE.expand(2, 2), TRUE.expand(2, 2)).shape == (2, 512, 1024)
    layers = 2 * 1344 + 1344 * 1024 + 1024 + 1024 * 1024 + 1024
    assert sum(p.numel() for p in module.parameters()) == layers + 256 * 1344


def test_nothing_is_read_of_a_subject_that_is_not_there(tokens):
    patches, boxes = given()
    there = torch.tensor([[True, False]])
    expected = tokens(patches, boxes, there, there)
    patches[:, 1], boxes[:, 1] = float("nan"), float("nan")
    found = tokens(patches, boxes, there, there)
    assert torch.equal(found, expected)
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in tokens.parameters())


def test_all_patches_of_a_subject_get_the_same_box(tokens):
    patches, boxes = given()
    patches = patches[:, :, :1].expand(-1, -1, 9, -1)
    found = tokens(patches, boxes, TRUE, TRUE).unflatten(1, (2, 9))
    assert torch.allclose(found, found[:, :, :1].expand_as(found), atol=1e-6)


def test_swapped_boxes_are_another_thing_and_untold_boxes_are_not(tokens):
    patches, boxes = given()
    assert not torch.allclose(tokens(patches, boxes, TRUE, TRUE), tokens(patches, boxes.flip(1), TRUE, TRUE))
    untold = ~TRUE
    assert torch.equal(tokens(patches, boxes, TRUE, untold), tokens(patches, boxes.flip(1), TRUE, untold))


def test_what_stands_for_absent_subjects_is_learnt(tokens):
    tokens(*given(), ~TRUE, ~TRUE).sum().backward()
    assert tokens.null_patch.grad.any()
    assert tokens.null_box.grad.any()
