# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from models.subject_diffusion.adapter import adapted, attending
from models.subject_diffusion.capture import captured, layers_at, maps_of
from models.subject_diffusion.options import Options
from tests.models.subject_diffusion.tiny import WIDTH, unet_of

STABLE_DIFFUSION = {
    "sample_size": 64,
    "block_out_channels": (8, 16, 32, 32),
    "layers_per_block": 2,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "attention_head_dim": (1, 2, 4, 4),
}


@torch.no_grad()
def test_the_eleven_layers_of_stable_diffusion():
    unet = adapted(unet_of(**STABLE_DIFFUSION), Options())
    names = layers_at(unet, (2, 4, 8))
    tokens = torch.randn(1, 8, WIDTH)
    inputs = (torch.randn(1, 5, 64, 64), torch.tensor([5]), torch.randn(1, 77, WIDTH))
    plain = unet(*inputs, **attending(tokens)).sample
    before = {name: id(processor) for name, processor in unet.attn_processors.items()}
    with captured(unet, names) as captures:
        found = unet(*inputs, **attending(tokens)).sample
    maps = maps_of(captures)
    assert sorted(m.shape[2] for m in maps) == [64] + [256] * 5 + [1024] * 5
    assert all(torch.allclose(m.sum(-1), torch.ones(()), atol=1e-5) and m.shape[3] == 77 for m in maps)
    assert [m.shape[1] for m in maps] == [2, 2, 4, 4, 4, 4, 4, 4, 2, 2, 2]
    assert (found - plain).abs().max() <= 1e-5
    assert {name: id(processor) for name, processor in unet.attn_processors.items()} == before


@pytest.mark.parametrize("checkpointing", [False, True])
def test_maps_carry_their_gradient(checkpointing):
    unet = adapted(unet_of(), Options()).train()
    if checkpointing:
        unet.enable_gradient_checkpointing()
    torch.manual_seed(0)
    latents, states = torch.randn(2, 5, 16, 16), torch.randn(2, 7, WIDTH)
    with captured(unet, layers_at(unet, (1, 2))) as captures:
        prediction = unet(latents, torch.tensor([5, 9]), states, **attending(torch.randn(2, 8, WIDTH))).sample
        maps = maps_of(captures)
        assert len(maps) == 4
        (prediction.square().mean() + sum(m[..., 1].mean() for m in maps)).backward()
    gradients = {name: p.grad.clone() for name, p in unet.named_parameters() if p.grad is not None}
    assert gradients["mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"].any()
    if checkpointing:
        plain = adapted(unet_of(), Options()).train()
        torch.manual_seed(0)
        latents, states = torch.randn(2, 5, 16, 16), torch.randn(2, 7, WIDTH)
        with captured(plain, layers_at(plain, (1, 2))) as captures:
            tokens = torch.randn(2, 8, WIDTH)
            prediction = plain(latents, torch.tensor([5, 9]), states, **attending(tokens)).sample
            (prediction.square().mean() + sum(m[..., 1].mean() for m in maps_of(captures))).backward()
        for name, parameter in plain.named_parameters():
            if parameter.grad is not None and ".fuser." not in name:
                assert torch.allclose(parameter.grad, gradients[name], atol=1e-6), name
