# SPDX-License-Identifier: Apache-2.0
"""The detector's ResNet, taught first to name what every cell shows.

A detector trained from scratch end to end spends most of its time on this; with plain batch
normalisation (which Grounding DINO freezes) it takes minutes.

Shapes: B images, C channels, H = W pixels, G x G cells.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from models.miniature.train.batch import cell_labels, training_batch
from models.miniature.train.loop import Losses, Recipe, train
from models.miniature.train.scenes import SceneArrays
from models.miniature.world.vocabulary import NOUNS

WIDTHS = [32, 64, 128, 128]
CONFIG = ResNetConfig(
    embedding_size=32,
    hidden_sizes=WIDTHS,
    depths=[1, 2, 2, 1],
    layer_type="basic",
    out_features=["stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
)
RECIPE = Recipe(steps=1_500, lr=2e-3, warmup=100, weight_decay=0.05)
BATCH = 32


class DenseNouns(nn.Module):
    """The backbone with one noun classifier a cell on each of its maps."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNetBackbone(CONFIG)
        self.heads = nn.ModuleList(nn.Conv2d(width, len(NOUNS) + 1, 1) for width in WIDTHS[1:])

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """Logits (B, nouns + 1, G, G) of each map; pictures are in [-1, 1]."""
        maps = self.backbone(image_BCHW).feature_maps
        return [head(features) for head, features in zip(self.heads, maps, strict=True)]


def train_backbone(
    scenes: SceneArrays, run: Path, recipe: Recipe, log: Callable[[str], None]
) -> ResNetBackbone:
    """Train (or go on training) the backbone alone."""
    torch.manual_seed(0)
    model = DenseNouns().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def losses(step: int) -> Losses:
        batch = training_batch(scenes, BATCH, seed=2, step=step)
        with torch.autocast("cpu", torch.bfloat16):
            maps = model(batch.image_BCHW.contiguous(memory_format=torch.channels_last) * 2 - 1)
        return {
            f"grid{logits.shape[-1]}": F.cross_entropy(
                logits.float(), cell_labels(batch, logits.shape[-1])[0]
            )
            for logits in maps
        }

    return train(model, losses, recipe, run, log).backbone
