# SPDX-License-Identifier: Apache-2.0
"""A whole Subject-Diffusion pipeline without trained weights, and a subject for it."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from PIL import Image, ImageDraw
from transformers import CLIPImageProcessorPil

from models.subject_diffusion.base import Base, Tower
from models.subject_diffusion.finished import pipeline_of
from models.subject_diffusion.model import SubjectDiffusion
from models.subject_diffusion.options import USUAL_GUIDANCE, Options
from tests.models.subject_diffusion.tiny import encoder_of, text_encoder_of, tokenizer_of, unet_of


def vae():
    torch.manual_seed(5)
    return AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=32,
    ).eval()


def made(guidance=USUAL_GUIDANCE, **options):
    """A pipeline whose gates are open, and the base that it is made of."""
    tokenizer = tokenizer_of()
    base = Base(
        vae(),
        unet_of(),
        text_encoder_of(tokenizer),
        tokenizer,
        DDIMScheduler(clip_sample=False, steps_offset=1),
    )
    encoder = encoder_of()
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_mean=[0.5] * 3
    )
    torch.manual_seed(6)
    model = SubjectDiffusion(
        base.unet, text_encoder_of(tokenizer), tokenizer, encoder, Options(attention_cells=(1, 2), **options)
    )
    for name, parameter in model.unet.named_parameters():
        if ".alpha_" in name:
            torch.nn.init.constant_(parameter, 1.0)
        if name == "conv_in.weight" and parameter.shape[1] == 5:
            torch.nn.init.normal_(parameter[:, 4], std=0.1)
    return pipeline_of(model.eval(), base, Tower(encoder.tower, processor), guidance), base


def picture(colour, size=(40, 30)):
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 5, size[0] - 5, size[1] - 5), fill=colour)
    return image
