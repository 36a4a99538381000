# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from models.subject_diffusion.adapter import adapted
from models.subject_diffusion.capture import captured, layers_at
from models.subject_diffusion.options import Options
from models.subject_diffusion.predicting import attending
from tests.models.subject_diffusion.tiny import WIDTH, unet_of

STABLE_DIFFUSION = {
    "sample_size": 64,
    "block_out_channels": (8, 16, 32, 32),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "attention_head_dim": (1, 2, 4, 4),
}


def test_grids_that_are_not_there():
    with pytest.raises(ValueError, match=r"attention_cells is \[7\].* n in \[1, 2, 4, 8\]"):
        layers_at(unet_of(**STABLE_DIFFUSION), (7,))


@torch.no_grad()
def test_the_eleven_layers_of_stable_diffusion():
    unet = adapted(unet_of(**STABLE_DIFFUSION), Options())
    names = layers_at(unet, (2, 4, 8))
    tokens = torch.randn(1, 8, WIDTH)
    inputs = (torch.randn(1, 5, 64, 64), torch.tensor([5]), torch.randn(1, 77, WIDTH))
    plain = unet(*inputs, **attending(tokens)).sample
    before = {name: id(processor) for name, processor in unet.attn_processors.items()}
    with captured(unet, names) as capture:
        found = unet(*inputs, **attending(tokens)).sample
    maps = capture.take()
    assert sorted(m.shape[2] for m in maps) == [64] + [256] * 5 + [1024] * 5
    assert all(torch.allclose(m.sum(-1), torch.ones(()), atol=1e-5) and m.shape[3] == 77 for m in maps)
    assert [m.shape[1] for m in maps] == [2, 2, 4, 4, 4, 4, 4, 4, 2, 2, 2]
    assert (found - plain).abs().max() <= 1e-5
    assert {name: id(processor) for name, processor in unet.attn_processors.items()} == before


def gradients(checkpointing):
    unet = adapted(unet_of(), Options()).train()
    if checkpointing:
        unet.enable_gradient_checkpointing()
    torch.manual_seed(0)
    for name, parameter in unet.named_parameters():
        if "alpha_" in name:
            torch.nn.init.constant_(parameter, 0.5)
        elif ".fuser." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    latents, states, tokens = torch.randn(2, 5, 16, 16), torch.randn(2, 7, WIDTH), torch.randn(2, 8, WIDTH)
    with captured(unet, layers_at(unet, (1, 2))) as capture:
        unet(latents, torch.tensor([5, 9]), states, **attending(tokens))
        maps = capture.take()
        assert len(maps) == 4
        sum(m[..., 1].square().mean() for m in maps).backward()
    return {name: p.grad for name, p in unet.named_parameters() if p.grad is not None}


def test_maps_carry_their_gradient_with_checkpointing_as_without():
    plain, checkpointed = gradients(False), gradients(True)
    assert plain["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"].any()
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        assert torch.allclose(checkpointed[name], gradient, atol=1e-6), name
