# SPDX-License-Identifier: Apache-2.0
"""How right the judge itself is: on renders that it never saw, and on the same through the autoencoder.

Shapes: B pictures, C = 3 channels, H = W = 64 pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.miniature.judge import Judge
from models.miniature.judge.accuracy import Accuracy, held_out_scenes


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
    for truths in held_out_scenes(scenes):
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
