# SPDX-License-Identifier: Apache-2.0
"""What the trainings of both text-to-image layouts share: the schedule, the batches, the loss.

First only large single subjects in the middle, then single ones anywhere and pairs as well. The
prediction is the velocity (Salimans & Ho 2022, section 4), the schedule ends in pure noise (Lin et al.
2024, "Common diffusion noise schedules and sample steps are flawed", section 3.1).

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from models.miniature.train.clip import LENGTH
from models.miniature.train.feed import Feed, Machine, Tensors, seeded
from models.miniature.train.layouts import LAYOUTS, PIXELS, Layout
from models.miniature.train.loop import Losses, Recipe, progress
from models.miniature.train.scenes import Series

CELLS = PIXELS // 4
RECIPE = Recipe(steps=16_000, lr=1.2e-3, warmup=300, weight_decay=0.01, ema=0.999)
GPU_RECIPE = replace(RECIPE, steps=7_000, lr=1e-3, batch=256, warmup=400)
FINISH = Recipe(steps=2_000, lr=3e-4, warmup=50, weight_decay=0.01, begun=0.8)
"""To go on from a saved pipeline: the rest of the curriculum."""
CURRICULUM = (
    (0.0, (1.0, 0.0, 0.0)),
    (0.35, (0.6, 0.2, 0.2)),
    (0.6, (0.4, 0.25, 0.35)),
    (0.8, (0.25, 0.15, 0.6)),
)
"""From which part of the schedule on, the shares of the layouts (see `LAYOUTS`)."""
UNET: dict[str, Any] = {
    "sample_size": CELLS,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (64, 128, 128),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": 4,
    "norm_num_groups": 16,
}
"""Grids of 16, 8 and 4 cells, attention at 16, 8 and in the middle."""
_UNPROMPTED = 0.1
_SUBJECT_WEIGHT = 3.0
"""How much more a subject's cells count than the background's at the start; it falls to 1."""


class Velocity(nn.Module):
    """A UNet with nothing but tensors at its sides, so that its kernels can be captured.

    On a GPU it computes in bfloat16.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, noisy_BCHW: Tensor, time_B: Tensor, states_BLD: Tensor, *added: Tensor) -> Tensor:
        """float32 (B, C, H, W); `added` are the pooled text and the sizes where the layout has them."""
        more = (
            {"added_cond_kwargs": dict(zip(("text_embeds", "time_ids"), added, strict=True))} if added else {}
        )
        with torch.autocast(noisy_BCHW.device.type, torch.bfloat16, noisy_BCHW.is_cuda, cache_enabled=False):
            return self.unet(noisy_BCHW, time_B, states_BLD, **more).sample.float()


def captured(velocity: Velocity, example: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    """On a GPU the same, replayed as a CUDA graph: a UNet this small waits for its kernels to be launched.

    Args:
        velocity: its parameters' gradients are part of what is captured.
        example: inputs of the shapes that will follow.
    """
    if not example[0].is_cuda:
        return velocity
    return cast(Callable[..., Tensor], torch.cuda.make_graphed_callables(velocity, example))


def example(recipe: Recipe, machine: Machine, width: int, *added: int) -> tuple[Tensor, ...]:
    """Inputs of the shapes of a batch, see `Velocity.forward`."""
    noisy = torch.randn(recipe.batch, 8, CELLS, CELLS, device=machine.device)
    states = torch.randn(recipe.batch, LENGTH, width, device=machine.device)
    time_B = torch.zeros(recipe.batch, dtype=torch.long, device=machine.device)
    more = (torch.ones(recipe.batch, size, device=machine.device) for size in added)
    return noisy.contiguous(memory_format=torch.channels_last), time_B, states, *more


Predict = Callable[[Tensor, Tensor, Tensors], Tensor]
"""The velocity, from noisy latents (B, C, H, W), timesteps (B,) and the rest of the batch."""


def started(unet: UNet2DConditionModel, pipeline: Path | None) -> UNet2DConditionModel:
    """The untrained UNet, or the one of a saved pipeline to go on from."""
    if pipeline is None:
        return unet
    saved = UNet2DConditionModel.from_pretrained(pipeline / "unet", torch_dtype=torch.float32)
    unet.load_state_dict(saved.state_dict())
    return unet


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


def velocity_losses(
    predict: Predict, feed: Feed, recipe: Recipe, machine: Machine
) -> Callable[[int], Losses]:
    """The loss of every step, see `loop.train`."""
    scheduler: Any = build_scheduler()

    def losses(step: int) -> Losses:
        batch = feed(step)
        latents_BCHW, generator = batch["latents"].float(), seeded(step, machine)
        noise = torch.randn(latents_BCHW.shape, generator=generator, device=machine.device)
        time_B = spread_times(len(latents_BCHW), generator)
        noisy = scheduler.add_noise(latents_BCHW, noise, time_B)
        target = scheduler.get_velocity(latents_BCHW, noise, time_B)
        guess = predict(noisy.contiguous(memory_format=torch.channels_last), time_B, batch)
        extra = (_SUBJECT_WEIGHT - 1) * max(0.0, 1 - progress(recipe, step) / 0.7)
        weight_BHW = 1 + extra * batch["subject"]
        error_BHW = F.mse_loss(guess, target, reduction="none").mean(1)
        return {"velocity": (weight_BHW * error_BHW).sum() / weight_BHW.sum()}

    return losses


def spread_times(count: int, generator: torch.Generator) -> Tensor:
    """Timesteps, int64 (count,): one from each of `count` equal parts of the schedule: a steadier loss."""
    device = generator.device
    part_B = torch.rand(count, generator=generator, device=device) + torch.arange(count, device=device)
    return (part_B * 1000 / count).long().clamp(max=999)


def shares(part: float) -> tuple[float, ...]:
    """Of the layouts, after a part of the curriculum in [0, 1]."""
    return next(share for begin, share in reversed(CURRICULUM) if part >= begin)


def draw(
    layouts: Mapping[Series, Layout],
    latents: Mapping[Series, np.ndarray],
    tokenizer: CLIPTokenizer,
    recipe: Recipe,
    step: int,
) -> Tensors:
    """Batch number `step`, a pure function of its arguments.

    Returns:
        `latents` float16 (B, C, H, W); `subject` float32 (B, H, W), the share of each cell that subjects
        cover, in [0, 1]; `tokens` int64 (B, L); `told` bool (B,), False where the model learns to draw
        without being told what, which the tokens of an empty text say too.
    """
    rng = np.random.default_rng((17, step))
    chosen, masks, texts = [], [], []
    for series in rng.choice(LAYOUTS, recipe.batch, p=shares(progress(recipe, step))):
        layout = layouts[series]
        row, mirrored = int(layout.rows[rng.integers(len(layout.rows))]), int(rng.random() < 0.5)
        chosen.append(latents[series][row, mirrored])
        mask_HW = layout.scenes.instance_NHW[row] > 0
        masks.append(mask_HW[:, ::-1] if mirrored else mask_HW)
        prompt = layout.prompt(row, rng)
        texts.append("" if rng.random() < _UNPROMPTED else prompt.text)
    mask_BHW = torch.from_numpy(np.stack(masks)).float()
    return {
        "latents": torch.from_numpy(np.stack(chosen)),
        "subject": F.adaptive_avg_pool2d(mask_BHW[:, None], CELLS)[:, 0],
        "tokens": tokenizer(texts, padding="max_length", return_tensors="pt").input_ids,
        "told": torch.tensor([bool(text) for text in texts]),
    }
