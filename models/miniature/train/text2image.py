# SPDX-License-Identifier: Apache-2.0
"""The miniature text-to-image model in the layout of Stable Diffusion: a UNet on the autoencoder's latents,
told what to draw by the CLIP's text encoder, which is left as it is.

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens, D their width.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from models.miniature.train.diffusion import (
    FINISH,
    GPU_RECIPE,
    RECIPE,
    UNET,
    Velocity,
    build_scheduler,
    captured,
    draw,
    example,
    started,
    velocity_losses,
)
from models.miniature.train.feed import Feed, Machine, Tensors
from models.miniature.train.latents import load_latents
from models.miniature.train.layouts import load_layouts
from models.miniature.train.loop import Recipe, train
from models.miniature.train.scenes import Series

__all__ = ["FINISH", "GPU_RECIPE", "RECIPE", "build_unet", "train_text2image"]


def build_unet(width: int) -> UNet2DConditionModel:
    """The untrained UNet.

    Args:
        width: of the text encoder's states.
    """
    model = UNet2DConditionModel.from_config({**UNET, "cross_attention_dim": width})
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
    autoencoder, clip = load_autoencoder(run), run.parent / "clip/export"
    encoder = CLIPTextModel.from_pretrained(clip, dtype=torch.float32).eval().requires_grad_(False)
    encoder = encoder.to(machine.device)  # pyright: ignore[reportArgumentType]
    tokenizer = CLIPTokenizer.from_pretrained(clip)
    unet = started(build_unet(encoder.config.hidden_size), begin)
    unet = unet.to(machine.device, memory_format=torch.channels_last)  # pyright: ignore

    velocity = captured(Velocity(unet), example(recipe, machine, encoder.config.hidden_size))

    def predict(noisy_BCHW: Tensor, time_B: Tensor, batch: Tensors) -> Tensor:
        return velocity(noisy_BCHW, time_B, encoder(batch["tokens"]).last_hidden_state)

    feed = latent_feed(cache, autoencoder, tokenizer, recipe, machine)
    averaged = train(unet, velocity_losses(predict, feed, recipe, machine), recipe, run, log)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=averaged,
        scheduler=build_scheduler(),  # pyright: ignore[reportArgumentType]
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipeline.to("cpu", torch.float16).save_pretrained(run / "export")
    return run / "export"


def load_autoencoder(run: Path) -> AutoencoderKL:
    """The trained one beside a run's folder, in float32."""
    return AutoencoderKL.from_pretrained(run.parent / "autoencoder/export", torch_dtype=torch.float32)


def latent_feed(
    cache: Path, autoencoder: AutoencoderKL, tokenizer: CLIPTokenizer, recipe: Recipe, machine: Machine
) -> Feed:
    """The batches of `diffusion.draw`."""
    layouts = load_layouts(cache)
    latents: dict[Series, np.ndarray] = {
        name: load_latents(cache, layout, autoencoder, machine.device) for name, layout in layouts.items()
    }
    return Feed(lambda step: draw(layouts, latents, tokenizer, recipe, step), recipe.steps, machine)
