# SPDX-License-Identifier: Apache-2.0
"""The miniature AutoencoderKL: 64 pixels to 16 x 16 latents of 8 channels and back.

Shapes: B images, C channels, H = W pixels or latent cells.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from models.miniature.train.feed import Feed, Machine, Tensors, seeded
from models.miniature.train.layouts import Layout, load_layouts
from models.miniature.train.loop import Losses, Recipe, train

CROP, CHANNELS = 32, 8
RECIPE = Recipe(steps=5_000, lr=1.5e-3, warmup=200, weight_decay=0.0, ema=0.998)
GPU_RECIPE = replace(RECIPE, steps=3_500, batch=96)
_KL = 3e-4


def build_model() -> AutoencoderKL:
    """The untrained model; random latents start with a small spread, so that it first learns to copy."""
    config = {
        "block_out_channels": (24, 48, 96),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 1,
        "latent_channels": CHANNELS,
        "norm_num_groups": 8,
        "mid_block_add_attention": False,
        "sample_size": 64,
    }
    model = cast(AutoencoderKL, AutoencoderKL.from_config(config))
    with torch.no_grad():
        assert model.quant_conv is not None
        assert model.quant_conv.bias is not None
        model.quant_conv.bias[CHANNELS:] = -5.0
    return model


def train_autoencoder(
    run: Path, cache: Path, recipe: Recipe, log: Callable[[str], None], machine: Machine
) -> Path:
    """Train (or go on training); save the fp16 model in `run/export`."""
    layouts = [*load_layouts(cache).values()]
    torch.manual_seed(0)
    model = build_model().to(machine.device, memory_format=torch.channels_last)  # pyright: ignore
    with closing(Feed(partial(_batch, layouts, recipe.batch), recipe.steps, machine)) as feed:
        averaged = train(model, _step_losses(model, feed, machine), recipe, run, log).cpu()
    whole = (_crops(layouts, 9, step, RECIPE.batch, crop=64) for step in range(32))
    centre_latents(averaged, (_signed(pixels) for pixels in whole))
    export = run / "export"
    averaged.half().save_pretrained(export)
    return export


def _batch(layouts: list[Layout], size: int, step: int) -> Tensors:
    return {"pixels": _crops(layouts, 8, step, size)}


def _step_losses(model: AutoencoderKL, feed: Feed, machine: Machine) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        image_BCHW = _signed(feed(step)["pixels"]).contiguous(memory_format=torch.channels_last)
        posterior = model.encode(image_BCHW).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
        generator = seeded(step, machine)
        noise = torch.randn(posterior.mean.shape, generator=generator, device=machine.device)
        decoded = model.decode(posterior.mean + posterior.std * noise).sample  # pyright: ignore
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar)
        return {"mse": F.mse_loss(decoded, image_BCHW) * 10, "kl": _KL * kl.mean()}

    return losses


def _signed(pixels_BCHW: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]."""
    return pixels_BCHW.float() / 127.5 - 1


def _crops(layouts: list[Layout], seed: int, step: int, count: int, crop: int = CROP) -> Tensor:
    """Random squares of training scenes, mirrored half of the time, uint8 (B, C, crop, crop)."""
    rng = np.random.default_rng((seed, step))
    pixels = []
    for _ in range(count):
        layout = layouts[rng.integers(len(layouts))]
        image_HWC = layout.scenes.image_NHWC[layout.rows[rng.integers(len(layout.rows))]]
        top, left = rng.integers(0, image_HWC.shape[0] - crop + 1, 2)
        image_HWC = image_HWC[top : top + crop, left : left + crop]
        pixels.append(image_HWC[:, ::-1] if rng.random() < 0.5 else image_HWC)
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


@torch.no_grad()
def centre_latents(model: AutoencoderKL, batches: Iterable[Tensor]) -> None:
    """Give every latent channel mean 0 and the same spread, without a change to what is decoded.

    The shift and scale go into the two 1 x 1 convolutions round the latents; the common spread is told
    by `scaling_factor`, as diffusers' pipelines want it.
    """
    means = torch.cat([model.encode(b).latent_dist.mean.permute(1, 0, 2, 3).flatten(1) for b in batches], 1)  # pyright: ignore
    shift_C, spread_C = means.mean(1), means.std(1)
    common = spread_C.log().mean().exp()
    scale_C = common / spread_C
    encoding, decoding = model.quant_conv, model.post_quant_conv
    assert encoding is not None
    assert decoding is not None
    assert encoding.bias is not None
    assert decoding.bias is not None
    encoding.weight[:CHANNELS] *= scale_C[:, None, None, None]
    encoding.bias[:CHANNELS] = (encoding.bias[:CHANNELS] - shift_C) * scale_C
    encoding.bias[CHANNELS:] += 2 * scale_C.log()
    decoding.bias += decoding.weight[:, :, 0, 0] @ shift_C
    decoding.weight /= scale_C[None, :, None, None]
    model.register_to_config(scaling_factor=round(float(1 / common), 4))
