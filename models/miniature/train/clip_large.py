# SPDX-License-Identifier: Apache-2.0
"""A second, wider CLIP: the other text encoder of the layout with two."""

from collections.abc import Callable
from pathlib import Path

from models.miniature.train.clip import GPU_RECIPE, RECIPE, train_clip
from models.miniature.train.feed import Machine
from models.miniature.train.loop import Recipe

__all__ = ["GPU_RECIPE", "RECIPE", "train_clip_large"]
WIDTH = 160


def train_clip_large(
    run: Path, cache: Path, recipe: Recipe, log: Callable[[str], None], machine: Machine
) -> Path:
    """Train (or go on training); save the fp16 model and its processor in `run/export`."""
    return train_clip(run, cache, recipe, log, machine, WIDTH, seed=1)
