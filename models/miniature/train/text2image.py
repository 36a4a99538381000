# SPDX-License-Identifier: Apache-2.0
"""The miniature text-to-image model: a UNet on the autoencoder's latents, told what to draw by the CLIP.

First only large single subjects in the middle, then single ones anywhere and pairs as well. The
prediction is the velocity (Salimans & Ho 2022, section 4), the schedule ends in pure noise (Lin et al.
2024, "Common diffusion noise schedules and sample steps are flawed", section 3.1).

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens, D their width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from models.miniature.train.latents import load_latents
from models.miniature.train.layouts import LAYOUTS, PIXELS, Layout, load_layouts
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.world.prompt import Prompt

BATCH, CELLS = 32, PIXELS // 4
RECIPE = Recipe(steps=16_000, lr=1.2e-3, warmup=300, weight_decay=0.01, ema=0.999)
CURRICULUM = ((0.0, (1.0, 0.0, 0.0)), (0.35, (0.6, 0.2, 0.2)), (0.6, (0.4, 0.25, 0.35)))
"""From which part of the schedule on, the shares of the layouts (see `LAYOUTS`)."""
_UNPROMPTED = 0.1
_SUBJECT_WEIGHT = 3.0
"""How much more a subject's cells count than the background's at the start; it falls to 1."""


def build_unet(width: int) -> UNet2DConditionModel:
    """The untrained UNet: grids of 16, 8 and 4 cells, attention at 16, 8 and in the middle.

    Args:
        width: of the text encoder's states.
    """
    config = {
        "sample_size": CELLS,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": (64, 128, 128),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": width,
        "attention_head_dim": 4,
        "norm_num_groups": 16,
    }
    return cast(UNet2DConditionModel, UNet2DConditionModel.from_config(config))


def build_scheduler() -> DDIMScheduler:
    """1,000 steps of training down to no signal at all."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """A batch for one step."""

    latents_BCHW: Tensor
    subject_BHW: Tensor
    """Share of each latent cell that subjects cover, in [0, 1]."""
    prompts: list[Prompt | None]
    """None where the model learns to draw without being told what."""

    @property
    def texts(self) -> list[str]:
        """As the tokenizer takes them."""
        return ["" if prompt is None else prompt.text for prompt in self.prompts]


def train_text2image(
    run: Path, cache: Path, recipe: Recipe = RECIPE, log: Callable[[str], None] = print
) -> Path:
    """Train (or go on training) on what `autoencoder` and `clip` have become; save the fp16 pipeline in
    `run/export`."""
    torch.manual_seed(0)
    autoencoder = AutoencoderKL.from_pretrained(run.parent / "autoencoder/export", torch_dtype=torch.float32)
    clip = run.parent / "clip/export"
    encoder = CLIPTextModel.from_pretrained(clip, dtype=torch.float32).eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(clip)
    layouts = load_layouts(cache)
    latents = {name: load_latents(cache, layout, autoencoder) for name, layout in layouts.items()}
    unet = build_unet(encoder.config.hidden_size).to(memory_format=torch.channels_last)  # pyright: ignore
    losses = _step_losses(unet, encoder, tokenizer, recipe, layouts, latents)
    averaged = train(unet, losses, recipe, run, log)
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
    pipeline.to(dtype=torch.float16).save_pretrained(run / "export")
    return run / "export"


def _step_losses(
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    recipe: Recipe,
    layouts: dict,
    latents: dict,
) -> Callable[[int], Losses]:
    scheduler = build_scheduler()

    def losses(step: int) -> Losses:
        sample = draw(layouts, latents, shares(step / recipe.steps), step)
        generator = torch.Generator().manual_seed(step)
        noise = torch.randn(sample.latents_BCHW.shape, generator=generator)
        time_B = spread_times(BATCH, generator)
        noisy = scheduler.add_noise(sample.latents_BCHW, noise, time_B)  # pyright: ignore[reportArgumentType]
        target = scheduler.get_velocity(sample.latents_BCHW, noise, time_B)  # pyright: ignore[reportArgumentType]
        tokens = tokenizer(sample.texts, padding="max_length", return_tensors="pt").input_ids
        states_BLD = encoder(tokens).last_hidden_state
        guess = unet(noisy.contiguous(memory_format=torch.channels_last), time_B, states_BLD).sample
        extra = (_SUBJECT_WEIGHT - 1) * max(0.0, 1 - step / (0.7 * recipe.steps))
        weight_BHW = 1 + extra * sample.subject_BHW
        error_BHW = F.mse_loss(guess, target, reduction="none").mean(1)
        return {"velocity": (weight_BHW * error_BHW).sum() / weight_BHW.sum()}

    return losses


def spread_times(count: int, generator: torch.Generator) -> Tensor:
    """Timesteps, int64 (count,): one from each of `count` equal parts of the schedule: a steadier loss."""
    return ((torch.rand(count, generator=generator) + torch.arange(count)) * 1000 / count).long()


def shares(progress: float) -> tuple[float, ...]:
    """Of the layouts, after a part of the schedule in [0, 1]."""
    return next(share for begin, share in reversed(CURRICULUM) if progress >= begin)


def draw(layouts: dict, latents: dict, share: tuple[float, ...], step: int) -> Sample:
    """Batch number `step`, a pure function of its arguments."""
    rng = np.random.default_rng((17, step))
    chosen, masks, prompts = [], [], []
    for series in rng.choice(LAYOUTS, BATCH, p=share):
        layout: Layout = layouts[series]
        row, mirrored = int(rng.choice(layout.rows)), int(rng.random() < 0.5)
        chosen.append(latents[series][row, mirrored])
        mask_HW = layout.scenes.instance_NHW[row] > 0
        masks.append(mask_HW[:, ::-1] if mirrored else mask_HW)
        prompt = layout.prompt(row, rng)
        prompts.append(None if rng.random() < _UNPROMPTED else prompt)
    mask_BHW = torch.from_numpy(np.stack(masks)).float()
    return Sample(
        torch.from_numpy(np.stack(chosen)).float(),
        F.adaptive_avg_pool2d(mask_BHW[:, None], CELLS)[:, 0],
        prompts,
    )
