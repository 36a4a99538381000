# SPDX-License-Identifier: Apache-2.0
"""What the model knows of a reference: CLIP's embedding of it, and its patches.

Shapes: B samples, K subjects, C = 3 channels, H = W pixels, P patches, V their width, E of the embedding.
"""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn


class Normalise(nn.Module):
    """Pictures in bytes as a CLIP tower wants them."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """
        Args:
            mean: of each colour, in [0, 1].
            std: of each colour.
        """
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, image_HWC: Tensor) -> Tensor:
        """float32 (..., 3, H, W) of uint8 (..., H, W, 3)."""
        return (image_HWC.movedim(-1, -3).float() / 255 - self.mean) / self.std


class SubjectEncoder(nn.Module):
    """A frozen `CLIPVisionModelWithProjection`; ViT-H/14 in the paper (section 3.2)."""

    def __init__(self, tower: Any) -> None:
        """
        Args:
            tower: a `CLIPVisionModelWithProjection`.
        """
        super().__init__()
        self.tower = tower.eval().requires_grad_(False)

    @property
    def patch_width(self) -> int:
        """V."""
        return int(self.tower.config.hidden_size)

    @property
    def image_width(self) -> int:
        """E."""
        return int(self.tower.config.projection_dim)

    @property
    def pixels(self) -> int:
        """Side of the pictures that it takes."""
        return int(self.tower.config.image_size)

    @property
    def patches(self) -> int:
        """P."""
        return (self.pixels // int(self.tower.config.patch_size)) ** 2

    def train(self, mode: bool = True) -> "SubjectEncoder":
        """Frozen, it stays in evaluation."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image_BKCHW: Tensor) -> tuple[Tensor, Tensor]:
        """The projected CLS embedding (B, K, E) as it is, and the patches (B, K, P, V) before any norm.

        Args:
            image_BKCHW: normalised as the tower wants it.
        """
        batch, subjects = image_BKCHW.shape[:2]
        found = self.tower(image_BKCHW.flatten(0, 1).to(self.tower.dtype))
        cls_BKE = found.image_embeds.unflatten(0, (batch, subjects))
        # The states here are those before the norm, which transformers applies to the CLS alone.
        patches_BKPV = found.last_hidden_state[:, 1:].unflatten(0, (batch, subjects))
        return cls_BKE, patches_BKPV


def squared(image: Image.Image, pixels: int) -> Image.Image:
    """A cut-out as the encoder sees it: RGB on white, in the middle of a square of so many pixels."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    corner = (side - image.width) // 2, (side - image.height) // 2
    square.paste(image.convert("RGB"), corner, image.getchannel("A") if image.mode == "RGBA" else None)
    return square.resize((pixels, pixels), Image.Resampling.BICUBIC)
