# SPDX-License-Identifier: Apache-2.0
"""Layers by name, on the full architectures without weights."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel

from models.consistency.consistory.layers import mask_depths, roles
from models.consistency.consistory.options import Options
from models.consistency.unet_layout import busiest_depth, features_block, grid, layers_of

SD = {"cross_attention_dim": 768, "attention_head_dim": 8}
XL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@pytest.fixture(scope="module", params=["xl", "sd"])
def unet(request):
    with torch.device("meta"):
        return request.param, UNet2DConditionModel(**(XL if request.param == "xl" else SD))


def test_every_attention_layer_is_known_with_its_grid(unet):
    name, model = unet
    layers = layers_of(model)
    assert len(layers) == len(model.attn_processors)
    plain = Counter((layer.part, layer.depth) for layer in layers if not layer.cross)
    assert plain == Counter((layer.part, layer.depth) for layer in layers if layer.cross)
    wanted = {
        "xl": {("down", 1): 4, ("down", 2): 20, ("mid", 2): 10, ("up", 2): 30, ("up", 1): 6},
        "sd": {
            ("down", 0): 2,
            ("down", 1): 2,
            ("down", 2): 2,
            ("mid", 3): 1,
            ("up", 2): 3,
            ("up", 1): 3,
            ("up", 0): 3,
        },
    }
    assert plain == wanted[name]


def test_consistory_works_on_the_layers_of_the_paper(unet):
    name, model = unet
    tells, shares, injects = (
        sum(role[place] for role in roles(model, Options()).values()) for place in range(3)
    )
    assert (tells, shares, injects) == {"xl": (60, 36, 10), "sd": (5, 9, 5)}[name]
    assert features_block(model) == {"xl": 0, "sd": 1}[name]
    assert mask_depths(model, Options()) == {"xl": (2, 1), "sd": (2, 1, 0)}[name]


def test_grids_are_those_of_the_down_samplers():
    for height, width in ((128, 128), (96, 160), (24, 40), (25, 13)):
        latents = torch.zeros(1, 1, height, width)
        for depth in range(4):
            assert grid(depth, height, width) == tuple(latents.shape[-2:])
            latents = F.conv2d(latents, torch.zeros(1, 1, 3, 3), stride=2, padding=1)


def test_a_depth_without_layers_gives_way_to_the_busiest():
    layers = [layer for layer in layers_of(_two_grids()) if layer.cross]
    assert busiest_depth(layers, 1) == 1
    assert busiest_depth(layers, 2) == 0


def _two_grids():
    with torch.device("meta"):
        return UNet2DConditionModel(
            block_out_channels=(32, 32, 32),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=8,
        )
