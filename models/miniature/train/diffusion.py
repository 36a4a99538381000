# SPDX-License-Identifier: Apache-2.0
"""What the trainings of both text-to-image layouts share: the recipes, the schedule, the loss.

The prediction is the velocity (Salimans & Ho 2022, section 4), the schedule ends in pure noise (Lin et al.
2024, "Common diffusion noise schedules and sample steps are flawed", section 3.1).

Shapes: B samples, C latent channels, H = W = 16 latent cells, L tokens, D their width.
"""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from models.miniature.train.curriculum import CELLS, CURRICULUM, draw
from models.miniature.train.feed import Feed, Machine, Tensors, seeded
from models.miniature.train.latents import load_latents
from models.miniature.train.layouts import load_layouts
from models.miniature.train.loop import Losses, OtherRecipe, Recipe, progress, train
from models.miniature.train.scenes import Series
from models.miniature.train.word_attention import word_attention_loss
from models.subject_diffusion.capture import AttentionCapture, layers_at

RECIPE = Recipe(steps=16_000, lr=1.2e-3, warmup=300, weight_decay=0.01, ema=0.999)
GPU_RECIPE = replace(RECIPE, steps=7_000, lr=1e-3, batch=256, warmup=400)
FINISH = Recipe(steps=1_600, lr=5e-4, warmup=50, weight_decay=0.01, begun=CURRICULUM[-1][0])
"""To go on from a saved pipeline: the rest of the curriculum."""
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
_ATTENTION_CELLS = (1, 2)
"""Whose attention to words is held to their subjects: that on grids of 16 and 8 cells."""
_ATTENTION_WEIGHT = 0.1
_SUBJECT_WEIGHT = 3.0
"""How much more a subject's cells count than the background's at the start; it falls to 2."""


Tell = Callable[[Tensors], tuple[Tensor, ...]]
"""Of a batch the text's states (B, L, D) and, where the layout has them, the pooled text and the sizes."""


class Velocity(nn.Module):
    """A UNet with nothing but tensors at its sides, so that its kernels can be captured.

    On a GPU it computes in bfloat16.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self._capture = AttentionCapture(unet, layers_at(unet, _ATTENTION_CELLS))

    def forward(
        self, noisy_BCHW: Tensor, time_B: Tensor, states_BLD: Tensor, *added: Tensor
    ) -> tuple[Tensor, ...]:
        """float32 (B, C, H, W), and the cross-attention of its layers, (B, N, Q, L) each.

        `added` are the pooled text and the sizes where the layout has them.
        """
        more = (
            {"added_cond_kwargs": dict(zip(("text_embeds", "time_ids"), added, strict=True))} if added else {}
        )
        with torch.autocast(noisy_BCHW.device.type, torch.bfloat16, noisy_BCHW.is_cuda, cache_enabled=False):
            self._capture.begin()
            velocity_BCHW = self.unet(noisy_BCHW, time_B, states_BLD, **more).sample.float()
            return velocity_BCHW, *self._capture.take()


def captured(velocity: Velocity, example: tuple[Tensor, ...]) -> Callable[..., tuple[Tensor, ...]]:
    """On a GPU the same, replayed as a CUDA graph: a UNet this small waits for its kernels to be launched.

    Args:
        velocity: its parameters' gradients are part of what is captured.
        example: inputs of the shapes that follow; they are copied.
    """
    if not example[0].is_cuda:
        return velocity
    return cast(Callable[..., tuple[Tensor, ...]], torch.cuda.make_graphed_callables(velocity, example))


def started(unet: UNet2DConditionModel, pipeline: Path | None) -> UNet2DConditionModel:
    """The untrained UNet, or the one of a saved pipeline to go on from."""
    if pipeline is None:
        return unet
    saved = UNet2DConditionModel.from_pretrained(pipeline / "unet", torch_dtype=torch.float32)
    shapes, wanted = ({name: each.shape for name, each in one.state_dict().items()} for one in (saved, unet))
    if shapes != wanted:
        raise OtherRecipe(f"the pipeline {pipeline} has a UNet of another layout")
    unet.load_state_dict(saved.state_dict())
    return unet


def load_autoencoder(run: Path) -> AutoencoderKL:
    """The trained one beside a run's folder, in float32."""
    return AutoencoderKL.from_pretrained(run.parent / "autoencoder/export", torch_dtype=torch.float32)


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


def train_unet(
    unet: UNet2DConditionModel,
    tell: Tell,
    autoencoder: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    place: tuple[Path, Path],
    recipe: Recipe,
    log: Callable[[str], None],
    machine: Machine,
) -> UNet2DConditionModel:
    """Train (or go on training) in place and return the averaged UNet, both on the machine's device.

    Args:
        unet: what is trained.
        tell: what the UNet is told of a batch.
        autoencoder: makes the latents.
        tokenizer: of the prompts.
        place: the run's folder, and the cache's.
        recipe: one of those above.
        log: gets a line of progress now and then.
        machine: where it runs.
    """
    run, cache = place
    unet = unet.to(machine.device, memory_format=torch.channels_last)  # pyright: ignore
    layouts = load_layouts(cache)
    latents: dict[Series, np.ndarray] = {
        name: load_latents(cache, layout, autoencoder, machine.device) for name, layout in layouts.items()
    }
    with closing(Feed(partial(draw, layouts, latents, tokenizer, recipe), recipe.steps, machine)) as feed:
        return train(unet, velocity_losses(Velocity(unet), tell, feed, recipe, machine), recipe, run, log)


def velocity_losses(
    velocity: Velocity, tell: Tell, feed: Feed, recipe: Recipe, machine: Machine
) -> Callable[[int], Losses]:
    """The loss of every step, see `loop.train`."""
    scheduler: Any = build_scheduler()
    predict: Callable[..., tuple[Tensor, ...]] | None = None

    def losses(step: int) -> Losses:
        nonlocal predict
        batch = feed(step)
        latents_BCHW, generator = batch["latents"].float(), seeded(step, machine)
        noise = torch.randn(latents_BCHW.shape, generator=generator, device=machine.device)
        time_B = spread_times(len(latents_BCHW), generator)
        noisy = scheduler.add_noise(latents_BCHW, noise, time_B).contiguous(memory_format=torch.channels_last)
        target = scheduler.get_velocity(latents_BCHW, noise, time_B)
        inputs = (noisy, time_B, *tell(batch))
        predict = predict or captured(velocity, inputs)
        extra = (_SUBJECT_WEIGHT - 1) * max(0.5, 1 - progress(recipe, step) / 0.7)
        weight_BHW = 1 + extra * batch["subject"]
        predicted, *maps = predict(*inputs)
        error_BHW = F.mse_loss(predicted, target, reduction="none").mean(1)
        attention = word_attention_loss(maps, batch["owner"], batch["masks"])
        return {
            "velocity": (weight_BHW * error_BHW).sum() / weight_BHW.sum(),
            "attention": _ATTENTION_WEIGHT * attention,
        }

    return losses


def spread_times(count: int, generator: torch.Generator) -> Tensor:
    """Timesteps, int64 (count,): one from each of `count` equal parts of the schedule: a steadier loss."""
    device = generator.device
    part_B = torch.rand(count, generator=generator, device=device) + torch.arange(count, device=device)
    return (part_B * 1000 / count).long().clamp(max=999)


def save_pipeline(pipeline: Any, folder: Path) -> None:
    """In half precision; without a word on it all of it is loaded in full, as diffusers loads a UNet."""
    pipeline.to("cpu", torch.float16).save_pretrained(folder)
    for path in folder.glob("text_encoder*/config.json"):
        config = json.loads(path.read_text()) | {"dtype": "float32"}
        path.write_text(json.dumps(config, indent=2) + "\n")
