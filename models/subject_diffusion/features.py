# SPDX-License-Identifier: Apache-2.0
"""What frozen models make of pictures: latents of the picture that is learnt, features of the references.

Shapes: B samples, K subjects, S x S pixels of a picture, R x R of a reference, 3 colours, C latent channels,
H, W latent cells, E width of an embedding, P patches, V their width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.subject_diffusion.subject_encoder import Normalise, SubjectEncoder


class FrozenFeatures(nn.Module):
    """Autoencoder and subject encoder, neither of them trained."""

    def __init__(self, vae: Any, encoder: SubjectEncoder, normalise: Normalise) -> None:
        """
        Args:
            vae: an `AutoencoderKL`.
            encoder: of the references.
            normalise: what its pictures need.
        """
        super().__init__()
        self.vae, self.encoder, self.normalise = vae.eval().requires_grad_(False), encoder, normalise

    def train(self, mode: bool = True) -> FrozenFeatures:
        """Frozen, they stay in evaluation."""
        return super().train(False)

    @torch.no_grad()
    def latents(self, image_BSSC: Tensor, posterior_BCHW: Tensor) -> Tensor:
        """Scaled latents, float32 (B, C, H, W), as the posterior and a standard normal draw have them.

        Args:
            image_BSSC: uint8 RGB.
            posterior_BCHW: the draw.
        """
        image_BCHW = image_BSSC.movedim(-1, -3).to(self.vae.dtype) / 127.5 - 1
        found = self.vae.encode(image_BCHW).latent_dist
        latents_BCHW = found.mean.float() + found.std.float() * posterior_BCHW
        return (latents_BCHW - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor

    @torch.no_grad()
    def references(self, image_BKRRC: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, K, E) and patches (B, K, P, V), float32, of uint8 RGB."""
        cls_BKE, patches_BKPV = self.encoder(self.normalise(image_BKRRC))
        return cls_BKE.float(), patches_BKPV.float()
