# SPDX-License-Identifier: Apache-2.0
"""The miniature DINO: a ViT that learns without any label to know a picture by its parts.

Self-distillation of Caron et al. 2021 ("Emerging properties in self-supervised vision transformers",
section 3.1): a student sees small crops, its averaged self two large ones, and both are to say the same.

Shapes: B pictures, V crops of each, C = 3 channels, H = W pixels, D width, K prototypes.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from models.miniature.train.feed import Feed, Machine, Tensors
from models.miniature.train.init import sincos_positions
from models.miniature.train.layouts import PIXELS, Layout, load_layouts
from models.miniature.train.loop import Losses, Recipe, train

WIDTH, PATCH, PROTOTYPES = 96, 8, 1024
LOCAL, LOCAL_PIXELS = 2, 40
RECIPE = Recipe(steps=6_000, lr=7e-4, warmup=400, weight_decay=0.04, ema=0.998)
GPU_RECIPE = replace(RECIPE, steps=5_000, batch=96)
_STUDENT_HEAT, _TEACHER_HEAT = 0.1, 0.04
_KEEP, _KEEP_CENTRE = 0.996, 0.9


class Head(nn.Module):
    """Projects states (B, D) to cosines with the prototypes (B, K)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WIDTH, 256), nn.GELU(), nn.Linear(256, 64))
        self.prototypes = nn.utils.parametrizations.weight_norm(nn.Linear(64, PROTOTYPES, bias=False))

    def forward(self, states_BD: Tensor) -> Tensor:
        """Logits."""
        return self.prototypes(F.normalize(self.layers(states_BD), dim=-1))


class DinoTraining(nn.Module):
    """Student and teacher; the teacher has no gradient and follows the student."""

    def __init__(self, vit: ViTModel) -> None:
        super().__init__()
        self.vit, self.head = vit, Head()
        self.teacher_vit, self.teacher_head = deepcopy(vit), deepcopy(self.head)
        for parameter in (*self.teacher_vit.parameters(), *self.teacher_head.parameters()):
            parameter.requires_grad_(False)
        self.register_buffer("centre_K", torch.zeros(PROTOTYPES))

    def student(self, image_BCHW: Tensor) -> Tensor:
        """Logits (B, K)."""
        states = self.vit(image_BCHW, interpolate_pos_encoding=image_BCHW.shape[-1] != PIXELS)
        return self.head(states.last_hidden_state[:, 0])

    @torch.no_grad()
    def teacher(self, image_BCHW: Tensor) -> Tensor:
        """Probabilities (B, K), centred and sharpened; the centre follows."""
        logits = self.teacher_head(self.teacher_vit(image_BCHW).last_hidden_state[:, 0])
        probabilities = ((logits - self.centre_K) / _TEACHER_HEAT).softmax(-1)
        self.centre_K.lerp_(logits.mean(0), 1 - _KEEP_CENTRE)  # pyright: ignore[reportCallIssue]
        return probabilities

    @torch.no_grad()
    def follow(self) -> None:
        """Move the teacher towards the student."""
        pairs = ((self.teacher_vit, self.vit), (self.teacher_head, self.head))
        for teacher, student in pairs:
            for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                old.lerp_(new, 1 - _KEEP)


def build_model() -> ViTModel:
    """The untrained ViT."""
    config = ViTConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=PIXELS,
        patch_size=PATCH,
    )
    model = ViTModel(config, add_pooling_layer=False)
    model.embeddings.position_embeddings.data[0, 1:] = sincos_positions(PIXELS // PATCH, WIDTH) * 0.2
    return model


def train_dino(run: Path, cache: Path, recipe: Recipe, log: Callable[[str], None], machine: Machine) -> Path:
    """Train (or go on training); save the fp16 teacher and its processor in `run/export`."""
    layouts = [*load_layouts(cache).values()]
    torch.manual_seed(0)
    training = DinoTraining(build_model()).to(machine.device)
    feed = Feed(lambda step: draw(layouts, recipe.batch, step), recipe.steps, machine)
    averaged = train(training, _step_losses(training, feed), recipe, run, log).cpu()
    export = run / "export"
    averaged.teacher_vit.half().save_pretrained(export)
    side = {"height": PIXELS, "width": PIXELS}
    ViTImageProcessorPil(size=side, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(
        export
    )
    return export


def _step_losses(training: DinoTraining, feed: Feed) -> Callable[[int], Losses]:
    def losses(step: int) -> Losses:
        # The weights that this step starts from are those that the last one ended with.
        training.follow()
        views = [*feed(step).values()]
        truths = [training.teacher(view) for view in views[:2]]
        guesses = [(training.student(view) / _STUDENT_HEAT).log_softmax(-1) for view in views]
        pairs = [
            -(truth * guess).sum(-1).mean()
            for one, truth in enumerate(truths)
            for other, guess in enumerate(guesses)
            if one != other
        ]
        return {"distillation": torch.stack(pairs).mean()}

    return losses


def draw(layouts: list[Layout], size: int, step: int) -> Tensors:
    """Two large crops and then `LOCAL` small ones of each picture: float32 (B, C, H, W) in [-1, 1]."""
    rng = np.random.default_rng((19, step))
    images = []
    for _ in range(size):
        layout = layouts[rng.integers(len(layouts))]
        images.append(layout.scenes.image_NHWC[layout.rows[rng.integers(len(layout.rows))]])
    image_BCHW = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    large = [_crop(image_BCHW, rng, PIXELS, 0.6, 1.0) for _ in range(2)]
    small = [_crop(image_BCHW, rng, LOCAL_PIXELS, 0.25, 0.6) for _ in range(LOCAL)]
    return {f"view {place}": view for place, view in enumerate(large + small)}


def _crop(image_BCHW: Tensor, rng: np.random.Generator, side: int, least: float, most: float) -> Tensor:
    """A random square of each picture with a share of its area, mirrored half of the time, at a new size."""
    count = len(image_BCHW)
    scale_B = np.sqrt(rng.uniform(least, most, count))
    shift_B2 = rng.uniform(-1, 1, (count, 2)) * (1 - scale_B)[:, None]
    mirror_B = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale_B * mirror_B, scale_B, shift_B2
    grid = F.affine_grid(torch.from_numpy(theta), [count, 3, side, side], align_corners=False)
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (count, 1, 1, 1)).astype(np.float32))
    return F.grid_sample(image_BCHW, grid, align_corners=False, padding_mode="reflection") * gain
