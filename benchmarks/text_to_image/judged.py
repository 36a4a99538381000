# SPDX-License-Identifier: Apache-2.0
"""How right the judge itself is: on renders that it never saw, and on the same through the autoencoder.

Shapes: B pictures, C = 3 channels, H = W = 64 pixels.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.miniature.judge import Judge, Reading
from models.miniature.train.layouts import LAYOUTS, PIXELS
from models.miniature.train.scenes import VALIDATION_SEED, scene_of
from models.miniature.world import Rendered, render_scene

READ = ("noun", "body", "accent", "pattern", "build", "trait")
_BATCH = 50


@dataclass(slots=True)
class Accuracy:
    """Right answers among all that could be given, by attribute."""

    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, truth: Rendered, reading: Reading) -> None:
        """Count one picture; a subject that is not found is wrong in everything."""
        self._count("background", reading.background == truth.background)
        for subject in truth.subjects:
            overlaps = [_iou(subject.mask, seen.mask) for seen in reading.subjects]
            best = max(range(len(overlaps)), key=overlaps.__getitem__, default=None)
            seen = None if best is None or overlaps[best] < 0.5 else reading.subjects[best].identity
            for name in READ:
                self._count(name, seen is not None and getattr(seen, name) == getattr(subject.identity, name))

    def _count(self, name: str, right: bool) -> None:
        self.asked[name] += 1
        self.right[name] += right

    def __getitem__(self, name: str) -> float:
        """Share of right answers."""
        return self.right[name] / max(1, self.asked[name])


@dataclass(frozen=True, slots=True)
class Judged:
    """The judge's accuracies, and how much the autoencoder loses."""

    rendered: Accuracy
    autoencoded: Accuracy
    psnr: float
    """Decibels, of 8-bit sRGB."""
    scenes: int


def judged(judge: Judge, autoencoder: AutoencoderKL, scenes: int) -> Judged:
    """Read held-out scenes of the three layouts in turn.

    Args:
        judge: what is tested.
        autoencoder: in float32.
        scenes: how many.
    """
    rendered, autoencoded, errors = Accuracy(), Accuracy(), []
    for truths in _batches(scenes):
        pixels = np.stack([np.asarray(truth.image) for truth in truths])
        image_BCHW = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        decoded_BCHW = through(autoencoder, image_BCHW)
        errors += ((decoded_BCHW - image_BCHW) * 127.5).square().mean((1, 2, 3)).tolist()
        for accuracy, images in ((rendered, image_BCHW), (autoencoded, decoded_BCHW)):
            for truth, reading in zip(truths, judge.read_pixels(images), strict=True):
                accuracy.add(truth, reading)
    return Judged(rendered, autoencoded, float(10 * np.log10(255**2 / np.mean(errors))), scenes)


@torch.inference_mode()
def through(autoencoder: AutoencoderKL, image_BCHW: Tensor) -> Tensor:
    """Pictures in [-1, 1] encoded, decoded, and rounded to 8 bits."""
    latents = autoencoder.encode(image_BCHW).latent_dist.mean  # pyright: ignore[reportAttributeAccessIssue]
    decoded = autoencoder.decode(latents).sample  # pyright: ignore[reportAttributeAccessIssue]
    return (decoded.clamp(-1, 1) * 127.5).round() / 127.5


def _batches(scenes: int) -> Iterator[list[Rendered]]:
    layouts = LAYOUTS
    for start in range(0, scenes, _BATCH):
        yield [
            render_scene(scene_of(layouts[index % len(layouts)], VALIDATION_SEED, index), PIXELS)
            for index in range(start, min(scenes, start + _BATCH))
        ]


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
