# SPDX-License-Identifier: Apache-2.0
"""Untrained models of Stable Diffusion's layout, small enough for a test."""

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig
from transformers import CLIPVisionModelWithProjection as Tower

from models.miniature import WEIGHTS
from models.subject_diffusion.conditions import References
from models.subject_diffusion.model import SubjectDiffusion
from models.subject_diffusion.options import Options
from models.subject_diffusion.subject_encoder import SubjectEncoder

WIDTH = 32


def tokenizer_of():
    """The miniature's, with as many places as Stable Diffusion's."""
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "text2image", subfolder="tokenizer")
    tokenizer.model_max_length = 77
    return tokenizer


def text_encoder_of(tokenizer):
    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config).eval()


def unet_of(**changes):
    torch.manual_seed(2)
    return UNet2DConditionModel(
        **{
            "sample_size": 16,
            "block_out_channels": (32, 64),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": WIDTH,
            "attention_head_dim": (2, 4),
            "norm_num_groups": 8,
            **changes,
        }
    ).eval()


def encoder_of():
    torch.manual_seed(3)
    config = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=WIDTH,
    )
    return SubjectEncoder(Tower(config))


def model_of(options=None, unet=None):
    tokenizer = tokenizer_of()
    torch.manual_seed(4)
    parts = (unet or unet_of(), text_encoder_of(tokenizer), tokenizer, encoder_of())
    return SubjectDiffusion(*parts, options or Options(attention_cells=(1, 2)))


def references_of(model, batch=2, subjects=(2, 1), seed=5):
    """Pictures of noise; `subjects` says how many of each sample are there."""
    generator = torch.Generator().manual_seed(seed)
    slots, side, encoder = model.options.max_subjects, model.reference_pixels, encoder_of()
    images = torch.randn(batch, slots, 3, side, side, generator=generator)
    cls, patches = encoder(images)
    corners = torch.rand(batch, slots, 2, generator=generator) / 2
    boxes = torch.cat([corners, corners + 0.4], dim=-1)
    there = torch.tensor([[place < count for place in range(slots)] for count in subjects])
    return References(cls, patches, boxes, there)
