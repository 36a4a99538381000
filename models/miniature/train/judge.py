# SPDX-License-Identifier: Apache-2.0
"""The judge, trained on rendered truth; half of its pictures are blurred or noisy as decoded latents are.

Shapes: B pictures, C = 3 channels, H = W = 64 pixels, S = 2 places for subjects, R subjects.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from models.miniature.judge.network import ATTRIBUTES, JudgeNetwork
from models.miniature.train.batch import Batch, scene_batch
from models.miniature.train.feed import Feed, Machine, Tensors
from models.miniature.train.layouts import COUNTS, PIXELS
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.scenes import TRAIN_SEED, SceneArrays, load_scenes

RECIPE = Recipe(steps=6_000, lr=2e-3, warmup=200, batch=48)
GPU_RECIPE = replace(RECIPE, steps=4_000, batch=128)
_FIELDS = {
    "noun": "noun_NS",
    "body": "colour_NS",
    "accent": "accent_NS",
    "pattern": "pattern_NS",
    "build": "build_NS",
    "trait": "trait_NS",
}


def train_judge(run: Path, cache: Path, recipe: Recipe, log: Callable[[str], None], machine: Machine) -> Path:
    """Train (or go on training); save `judge.safetensors` as fp16 in `run/export`."""
    # Held-out combinations too: what judges may know everything.
    layouts = [
        load_scenes(cache, TRAIN_SEED + 1000 + place, count, PIXELS, series)
        for place, (series, count) in enumerate(COUNTS.items())
    ]
    torch.manual_seed(0)
    network = JudgeNetwork().to(machine.device, memory_format=torch.channels_last)  # pyright: ignore
    with closing(Feed(partial(draw, layouts, recipe.batch), recipe.steps, machine)) as feed:
        averaged = train(network, _step_losses(network, feed), recipe, run, log).cpu()
    export = run / "export"
    export.mkdir(exist_ok=True)
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in averaged.state_dict().items()
    }
    save_file({name: value.contiguous() for name, value in state.items()}, export / "judge.safetensors")
    return export


def _step_losses(network: JudgeNetwork, feed: Feed) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        batch = feed(step)
        image_BCHW = batch["image"].contiguous(memory_format=torch.channels_last)
        maps, background_BK = network.features(image_BCHW)
        logits = network.attributes(maps, batch["owner"], batch["mask"])
        return {
            "pixel": F.cross_entropy(network.nouns(maps), batch["pixel"]),
            "background": F.cross_entropy(background_BK, batch["background"]),
            **{name: F.cross_entropy(logits[name], batch[name]) for name in ATTRIBUTES},
        }

    return losses


def draw(layouts: list[SceneArrays], size: int, step: int) -> Tensors:
    """Batch number `step`: `image`, what is to be seen in it, `mask` and `owner` of every subject and, by the
    attribute's name, what that subject is like."""
    rng = np.random.default_rng((13, step))
    scenes = layouts[step % len(layouts)]
    rows = rng.integers(0, len(scenes), size)
    batch = scene_batch(scenes, rows)
    flip = rng.random() < 0.5
    instance_BHW = batch.instance_BHW.flip(-1) if flip else batch.instance_BHW
    image_BCHW = batch.image_BCHW.flip(-1) if flip else batch.image_BCHW
    owner_R, mask_RHW, place_R = _subjects(batch, instance_BHW)
    truth = {
        name: torch.from_numpy(getattr(scenes, field)[rows].astype(np.int64))[owner_R, place_R]
        for name, field in _FIELDS.items()
    }
    return {
        "image": worn(image_BCHW * 2 - 1, rng),
        "owner": owner_R,
        "mask": _ragged(mask_RHW, rng),
        "pixel": _pixel_nouns(batch, instance_BHW),
        "background": batch.background_B,
        **truth,
    }


def worn(image_BCHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the pictures a little blurred, noisy, or off in brightness."""
    count = len(image_BCHW)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    blurred = F.avg_pool2d(F.pad(image_BCHW, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    amount_B = torch.rand(count, generator=generator) * (torch.rand(count, generator=generator) < 0.5)
    noise = torch.randn(image_BCHW.shape, generator=generator) * 0.12
    gain_B = 1 + (torch.rand(count, generator=generator) - 0.5) * 0.16
    amount, gain = amount_B[:, None, None, None], gain_B[:, None, None, None]
    return (image_BCHW.lerp(blurred, amount) + noise * amount) * gain


def _subjects(batch: Batch, instance_BHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of all subjects with a pixel: their picture, their mask, their place in it."""
    masks_BSHW = torch.stack([instance_BHW == place + 1 for place in range(2)], dim=1)
    owner_R, place_R = (masks_BSHW.sum((2, 3)) >= 8).nonzero(as_tuple=True)
    return owner_R, masks_BSHW[owner_R, place_R].float(), place_R


def _ragged(mask_RHW: Tensor, rng: np.random.Generator) -> Tensor:
    """Masks as they will be found: now and then a pixel too wide or too narrow."""
    choice = rng.integers(3)
    if choice == 0:
        return mask_RHW
    sign = 1.0 if choice == 1 else -1.0
    moved = sign * F.max_pool2d(sign * mask_RHW[:, None], 3, stride=1, padding=1)[:, 0]
    return torch.where(moved.sum((1, 2), keepdim=True) > 8, moved, mask_RHW)


def _pixel_nouns(batch: Batch, instance_BHW: Tensor) -> Tensor:
    table_BS = F.pad(batch.noun_BS + 1, (1, 0))
    return table_BS.gather(1, instance_BHW.flatten(1)).view_as(instance_BHW)
