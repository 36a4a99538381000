# SPDX-License-Identifier: Apache-2.0
"""The miniature DINO: a ViT that learns without any label to know a picture by its parts.

Self-distillation of Caron et al. 2021 ("Emerging properties in self-supervised vision transformers",
section 3.1): a student sees small crops, its averaged self two large ones, and both are to say the same.

Shapes: B pictures, V crops of each, C = 3 channels, H = W pixels, D width, K prototypes.
"""

from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

from models.miniature.train.dino_views import draw
from models.miniature.train.feed import Feed, Machine
from models.miniature.train.init import sincos_positions
from models.miniature.train.layouts import PIXELS, load_layouts
from models.miniature.train.loop import Losses, Recipe, train

WIDTH, PATCH, PROTOTYPES = 96, 8, 1024
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
    with closing(Feed(partial(draw, layouts, recipe.batch), recipe.steps, machine)) as feed:
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
