# SPDX-License-Identifier: Apache-2.0
"""Untrained pipelines of both layouts, small enough for a test."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from models.consistency.method import Sampling, Subject
from tests.models.subject_diffusion.tiny import tokenizer_of

WIDTH = 32
CAT = Subject(words=("cat",))
PROMPTS = ["a cat in the snow", "a red cat on the beach", "a striped cat in the forest", "a cat somewhere"]
SEEDS = [3, 5, 8, 13]
SAMPLING = Sampling(steps=10, guidance=5.0, output="latent")


def text_config(tokenizer, **changes):
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **changes,
    )


def vae_of():
    torch.manual_seed(5)
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=128,
    ).eval()


def scheduler_of(**changes):
    return DDIMScheduler(
        **{
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "clip_sample": False,
            "set_alpha_to_one": False,
            "steps_offset": 1,
            **changes,
        }
    )


def xl_pipe(**changes):
    """As SDXL has it: no attention on the finest grid, two text encoders."""
    tokenizer = tokenizer_of()
    torch.manual_seed(1)
    encoders = (
        CLIPTextModel(text_config(tokenizer)).eval(),
        CLIPTextModelWithProjection(text_config(tokenizer, projection_dim=WIDTH)).eval(),
    )
    torch.manual_seed(2)
    unet = UNet2DConditionModel(
        **{
            "sample_size": 16,
            "block_out_channels": (16, 32, 32),
            "layers_per_block": 1,
            "transformer_layers_per_block": (1, 1, 2),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 2 * WIDTH,
            "attention_head_dim": (2, 2, 4),
            "norm_num_groups": 8,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + WIDTH,
            **changes,
        }
    ).eval()
    return quiet(
        StableDiffusionXLPipeline(
            vae=vae_of(),
            text_encoder=encoders[0],
            text_encoder_2=encoders[1],
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=unet,
            scheduler=scheduler_of(),
            add_watermarker=False,
        )
    )


def sd_pipe(**scheduling):
    """As Stable Diffusion 1 and 2 have it: four blocks, attention on three grids."""
    tokenizer = tokenizer_of()
    torch.manual_seed(1)
    encoder = CLIPTextModel(text_config(tokenizer)).eval()
    torch.manual_seed(2)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 16, 32, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=8,
    ).eval()
    return quiet(
        StableDiffusionPipeline(
            vae=vae_of(),
            text_encoder=encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler_of(**scheduling),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def stock(pipe, prompts=PROMPTS, seeds=SEEDS, sampling=SAMPLING):
    """What the pipeline itself draws."""
    return pipe(**sampling.arguments(prompts, seeds)).images
