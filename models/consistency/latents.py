# SPDX-License-Identifier: Apache-2.0
"""Pictures as latents, and what a UNet is to predict of noisy ones.

Shapes: B pictures, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image


@torch.no_grad()
def encoded_pictures(
    pipe: Any, pictures: Sequence[Image.Image], height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of their scaled latents, float32 (B, C, H, W).

    Args:
        pipe: with the autoencoder.
        pictures: of any size; the largest part in the middle with the wanted ratio is taken.
        height: wanted, pixels.
        width: wanted.
    """
    from PIL import Image, ImageOps

    bicubic = Image.Resampling.BICUBIC
    fitted = [ImageOps.fit(picture.convert("RGB"), (width, height), bicubic) for picture in pictures]
    image_BHWC = torch.from_numpy(np.stack([np.asarray(picture) for picture in fitted]))
    vae = pipe.vae
    with _in_its_range(vae):
        image_BCHW = image_BHWC.movedim(-1, 1).to(vae.device, vae.dtype) / 127.5 - 1
        posterior = vae.encode(image_BCHW).latent_dist
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    scale = vae.config.scaling_factor
    return (posterior.mean.float() - shift) * scale, posterior.std.float() * scale


@contextmanager
def _in_its_range(vae: Any) -> Iterator[None]:
    """In float32 where half precision overflows, as with SDXL's own."""
    if vae.dtype != torch.float16 or not vae.config.get("force_upcast"):
        yield
        return
    vae.to(torch.float32)
    try:
        yield
    finally:
        vae.to(torch.float16)


def random_crops(
    pictures: Sequence[Image.Image], height: int, width: int, generator: torch.Generator
) -> list[Image.Image]:
    """The largest part of each with the wanted ratio, anywhere."""
    crops = []
    for picture in pictures:
        scale = min(picture.width / width, picture.height / height)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (
            int(torch.randint(most + 1, (), generator=generator))
            for most in (picture.width - wide, picture.height - high)
        )
        crops.append(picture.crop((left, top, left + wide, top + high)))
    return crops


class Noise:
    """A pipeline's schedule of noise, for training."""

    def __init__(self, pipe: Any) -> None:
        """
        Args:
            pipe: its scheduler says how noise grows, and what the UNet predicts.

        Raises:
            ValueError: it predicts neither noise nor velocity.
        """
        from diffusers import DDPMScheduler

        self._scheduler: Any = DDPMScheduler.from_config(pipe.scheduler.config)
        self.steps = int(self._scheduler.config.num_train_timesteps)
        self._prediction = self._scheduler.config.prediction_type
        if self._prediction not in ("epsilon", "v_prediction"):
            raise ValueError(f"the model predicts {self._prediction}; it must be epsilon or v_prediction")

    @property
    def velocity(self) -> bool:
        """Whether the UNet predicts velocities, not noise."""
        return self._prediction == "v_prediction"

    def kept(self, time_B: Tensor) -> Tensor:
        """Share of the signal's power that is left, (B,)."""
        return self._scheduler.alphas_cumprod.to(time_B.device)[time_B]

    def added(self, latents_BCHW: Tensor, noise_BCHW: Tensor, time_B: Tensor) -> Tensor:
        """Noisy latents."""
        return self._scheduler.add_noise(latents_BCHW, noise_BCHW, time_B)

    def target(self, latents_BCHW: Tensor, noise_BCHW: Tensor, time_B: Tensor) -> Tensor:
        """What the UNet is to predict of them."""
        if not self.velocity:
            return noise_BCHW
        return self._scheduler.get_velocity(latents_BCHW, noise_BCHW, time_B)
