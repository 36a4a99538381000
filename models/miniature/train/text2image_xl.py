# SPDX-License-Identifier: Apache-2.0
"""The miniature text-to-image model in the layout of Stable Diffusion XL: two text encoders, of which the
UNet sees the states before the last layer side by side, and the second one's pooled output (Podell et al.
2023, sections 2.1 and 2.2).

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens, D their width, T = 6 sizes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from models.miniature.train import diffusion
from models.miniature.train.feed import Machine, Tensors
from models.miniature.train.layouts import PIXELS
from models.miniature.train.loop import Recipe

RECIPE, FINISH = diffusion.RECIPE, diffusion.FINISH
GPU_RECIPE = replace(diffusion.GPU_RECIPE, batch=128)
_SIZES, _SIZE_WIDTH = (PIXELS, PIXELS, 0, 0, PIXELS, PIXELS), 16
"""Height and width as they were, where the crop begins, height and width wanted: always the same here."""


def build_unet(width: int, pooled: int) -> UNet2DConditionModel:
    """The untrained UNet.

    Args:
        width: of both text encoders' states together.
        pooled: of the second one's pooled output.
    """
    config = {
        **diffusion.UNET,
        "cross_attention_dim": width,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": _SIZE_WIDTH,
        "projection_class_embeddings_input_dim": pooled + len(_SIZES) * _SIZE_WIDTH,
        "use_linear_projection": True,
    }
    return cast(UNet2DConditionModel, UNet2DConditionModel.from_config(config))


def train_text2image_xl(
    run: Path,
    cache: Path,
    recipe: Recipe,
    log: Callable[[str], None],
    machine: Machine,
    begin: Path | None = None,
) -> Path:
    """Train (or go on training) on what `autoencoder`, `clip` and `clip_large` have become; save the fp16
    pipeline in `run/export`. `begin` is a saved pipeline to go on from."""
    torch.manual_seed(0)
    autoencoder = diffusion.load_autoencoder(run)
    one, two = (run.parent / part / "export" for part in ("clip", "clip_large"))
    first = CLIPTextModel.from_pretrained(one, dtype=torch.float32).eval().requires_grad_(False)
    second = CLIPTextModelWithProjection.from_pretrained(two, dtype=torch.float32)
    second = second.eval().requires_grad_(False)
    first.to(machine.device), second.to(machine.device)  # pyright: ignore
    tokenizer = CLIPTokenizer.from_pretrained(one)
    width = first.config.hidden_size + second.config.hidden_size
    unet = diffusion.started(build_unet(width, second.config.projection_dim or 0), begin)
    averaged = diffusion.train_unet(
        unet, partial(conditions, first, second), autoencoder, tokenizer, (run, cache), recipe, log, machine
    )
    pipeline = StableDiffusionXLPipeline(
        vae=autoencoder,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=tokenizer,
        tokenizer_2=CLIPTokenizer.from_pretrained(two),
        unet=averaged,
        scheduler=diffusion.build_scheduler(),  # pyright: ignore[reportArgumentType]
        add_watermarker=False,
    )
    diffusion.save_pipeline(pipeline, run / "export")
    return run / "export"


def conditions(
    first: CLIPTextModel, second: CLIPTextModelWithProjection, batch: Tensors
) -> tuple[Tensor, Tensor, Tensor]:
    """The states (B, L, D), the pooled text, the sizes (B, T).

    Both texts are zeros where nothing is told, as the pipeline gives for an empty negative prompt.
    """
    tokens, told_B = batch["tokens"], batch["told"].float()
    left = first(tokens, output_hidden_states=True)
    right = second(tokens, output_hidden_states=True)
    states_BLD = torch.cat([left.hidden_states[-2], right.hidden_states[-2]], dim=-1)
    sizes_BT = torch.tensor([_SIZES], device=tokens.device, dtype=torch.float32).expand(len(tokens), -1)
    return states_BLD * told_B[:, None, None], right.text_embeds * told_B[:, None], sizes_BT
