# SPDX-License-Identifier: Apache-2.0
"""diffusers' IP-Adapter with weights of chance, in files as they are published."""

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from models.backends.protocols import MissingWeights
from models.consistency.ip_adapter import IpAdapter
from models.consistency.method import Subject
from models.consistency.options import IpAdapterOptions
from tests.models.consistency.tiny import PROMPTS, SAMPLING, SEEDS, WIDTH, stock, xl_pipe

RED, BLUE = (
    Subject(words=("cat",), pictures=(Image.new("RGB", (64, 64), colour),)) for colour in ("red", "blue")
)
TOKENS = 4


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=224,
        patch_size=56,
        projection_dim=WIDTH,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "models" / "image_encoder")
    unet = xl_pipe().unet
    wide = unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(TOKENS * wide, WIDTH),
        "image_proj.proj.bias": torch.randn(TOKENS * wide),
        "image_proj.norm.weight": torch.ones(wide),
        "image_proj.norm.bias": torch.zeros(wide),
    }
    crossing = [name for name in unet.attn_processors if ".attn2." in name]
    for number, name in enumerate(crossing):
        size = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for kind in ("k", "v"):
            weights[f"ip_adapter.{2 * number + 1}.to_{kind}_ip.weight"] = torch.randn(size, wide)
    save_file(weights, folder / "models" / "adapter.safetensors")
    return IpAdapterOptions(
        adapter=str(folder), subfolder="models", weight_name="adapter.safetensors", scale=1.0
    )


def drawn(pipe, options, subject):
    return IpAdapter(options).generate(pipe, subject, None, PROMPTS[:2], SEEDS[:2], SAMPLING)


def test_pictures_count_and_the_pipeline_is_left_as_it_was(adapter):
    pipe = xl_pipe()
    before = stock(pipe, PROMPTS[:2], SEEDS[:2])
    processors, notes = pipe.unet.attn_processors, dict(pipe.__dict__)
    red, blue = (drawn(pipe, adapter, each) for each in (RED, BLUE))
    assert torch.isfinite(red).all()
    assert (red - before).abs().amax((1, 2, 3)).min() > 1e-3
    assert (red - blue).abs().amax((1, 2, 3)).min() > 1e-4
    assert pipe.unet.attn_processors == processors
    assert pipe.__dict__ == notes
    assert pipe.unet.encoder_hid_proj is None
    assert torch.equal(stock(pipe, PROMPTS[:2], SEEDS[:2]), before)


def test_missing_weights_and_pictures_are_told(tmp_path):
    pipe = xl_pipe()
    before = stock(pipe, PROMPTS[:2], SEEDS[:2])
    with pytest.raises(MissingWeights, match="give its folder"):
        drawn(pipe, IpAdapterOptions(adapter=str(tmp_path)), RED)
    assert torch.equal(stock(pipe, PROMPTS[:2], SEEDS[:2]), before)
    with pytest.raises(ValueError, match="needs a picture"):
        drawn(pipe, IpAdapterOptions(), Subject(words=("cat",)))
