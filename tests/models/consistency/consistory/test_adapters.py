# SPDX-License-Identifier: Apache-2.0
"""What users have loaded keeps working: IP-Adapter, LoRA, ControlNet."""

from dataclasses import replace

import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

from models.consistency.consistory.consistory import ConsiStory
from models.consistency.consistory.options import Options
from tests.models.consistency.tiny import CAT, PROMPTS, SAMPLING, SEEDS, WIDTH, quiet, stock, xl_pipe

SHORT = replace(SAMPLING, steps=6)


def drawn(pipe, options, sampling, prompts=PROMPTS[:3], seeds=SEEDS[:3]):
    return ConsiStory(options).generate(pipe, CAT, None, prompts, seeds, sampling)


def held(pipe, sampling):
    """It is the stock pipeline when off, does something when on, and gives the pipeline back."""
    before = stock(pipe, PROMPTS[:3], SEEDS[:3], sampling)
    assert torch.equal(drawn(pipe, Options().off(), sampling), before)
    found = drawn(pipe, Options(freeu=None), sampling)
    assert torch.isfinite(found).all()
    assert (found - before).abs().amax((1, 2, 3)).min() > 1e-4
    assert torch.equal(stock(pipe, PROMPTS[:3], SEEDS[:3], sampling), before)
    return before


def with_pictures(pipe):
    """The UNet's part of an IP-Adapter, with weights of chance."""
    from diffusers.models.embeddings import ImageProjection, MultiIPAdapterImageProjection

    torch.manual_seed(9)
    unet, width = pipe.unet, pipe.unet.config.cross_attention_dim
    processors = dict(unet.attn_processors)
    for name in processors:
        if ".attn2." in name:
            size = unet.get_submodule(name.removesuffix(".processor")).to_q.in_features
            processors[name] = IPAdapterAttnProcessor2_0(size, width, num_tokens=(2,), scale=1.0)
    unet.set_attn_processor(processors)
    projection = ImageProjection(WIDTH, cross_attention_dim=width, num_image_text_embeds=2)
    unet.encoder_hid_proj = MultiIPAdapterImageProjection([projection]).eval()
    unet.config.encoder_hid_dim_type = "ip_image_proj"
    return pipe


def test_ip_adapter():
    pipe = with_pictures(xl_pipe())
    # One row without and one with the picture: diffusers repeats them for each prompt.
    embeds = torch.randn(2, 1, WIDTH, generator=torch.Generator().manual_seed(4))
    one, other = (replace(SHORT, more={"ip_adapter_image_embeds": [scale * embeds]}) for scale in (1.0, 3.0))
    assert not torch.equal(held(pipe, one), held(pipe, other))
    assert not torch.equal(drawn(pipe, Options(), one), drawn(pipe, Options(), other))


def test_lora():
    peft = pytest.importorskip("peft")
    pipe = xl_pipe()
    plain = drawn(pipe, Options(), SHORT)
    config = peft.LoraConfig(
        r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"], init_lora_weights=False
    )
    torch.manual_seed(3)
    pipe.unet.add_adapter(config)
    held(pipe, SHORT)
    assert not torch.equal(drawn(pipe, Options(), SHORT), plain)
    pipe.unet.disable_adapters()
    assert torch.allclose(drawn(pipe, Options(), SHORT), plain, atol=1e-4)


def test_controlnet_keeps_its_own_attention():
    pipe = xl_pipe()
    torch.manual_seed(6)
    controlnet = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3).eval()
    for block in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=0.2)
    controlled = quiet(StableDiffusionXLControlNetPipeline(**pipe.components, controlnet=controlnet))
    processors = dict(controlnet.attn_processors)
    control = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    sampling = replace(SHORT, more={"image": control})
    with_control = held(controlled, sampling)
    assert not torch.equal(with_control, stock(pipe, PROMPTS[:3], SEEDS[:3], SHORT))
    assert controlnet.attn_processors == processors
    whole = drawn(controlled, replace(Options(), sequential_halves=True), sampling)
    assert torch.allclose(whole, drawn(controlled, Options(), sampling), atol=1e-3)
