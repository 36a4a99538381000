# SPDX-License-Identifier: Apache-2.0
"""The miniature text-to-image model in the layout of Stable Diffusion: a UNet on the autoencoder's latents,
told what to draw by the CLIP's text encoder, which is left as it is.

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens, D their width.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from models.miniature.train import diffusion
from models.miniature.train.feed import Machine, Tensors
from models.miniature.train.loop import Recipe

RECIPE, GPU_RECIPE, FINISH = diffusion.RECIPE, diffusion.GPU_RECIPE, diffusion.FINISH


def build_unet(width: int) -> UNet2DConditionModel:
    """The untrained UNet.

    Args:
        width: of the text encoder's states.
    """
    model = UNet2DConditionModel.from_config({**diffusion.UNET, "cross_attention_dim": width})
    return cast(UNet2DConditionModel, model)


def train_text2image(
    run: Path,
    cache: Path,
    recipe: Recipe,
    log: Callable[[str], None],
    machine: Machine,
    begin: Path | None = None,
) -> Path:
    """Train (or go on training) on what `autoencoder` and `clip` have become; save the fp16 pipeline in
    `run/export`. `begin` is a saved pipeline to go on from."""
    torch.manual_seed(0)
    autoencoder, clip = diffusion.load_autoencoder(run), run.parent / "clip/export"
    encoder = CLIPTextModel.from_pretrained(clip, dtype=torch.float32).eval().requires_grad_(False)
    encoder = encoder.to(machine.device)  # pyright: ignore[reportArgumentType]
    tokenizer = CLIPTokenizer.from_pretrained(clip)
    unet = diffusion.started(build_unet(encoder.config.hidden_size), begin)

    def tell(batch: Tensors) -> tuple[Tensor, ...]:
        return (encoder(batch["tokens"]).last_hidden_state,)

    averaged = diffusion.train_unet(unet, tell, autoencoder, tokenizer, (run, cache), recipe, log, machine)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=averaged,
        scheduler=diffusion.build_scheduler(),  # pyright: ignore[reportArgumentType]
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    diffusion.save_pipeline(pipeline, run / "export")
    return run / "export"
