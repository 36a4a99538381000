# SPDX-License-Identifier: Apache-2.0
"""What frozen models make of pictures: latents of the picture that is learnt, features of the references.

Shapes: B samples, K subjects, S x S pixels of a picture, R x R of a reference, 3 colours, C latent channels,
H, W latent cells, E width of an embedding, P patches, V their width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.subject_diffusion.subject_encoder import Normalise, SubjectEncoder


class Seen(NamedTuple):
    """All that frozen models make of a sample, in the precision that they compute in."""

    mean_BCHW: Tensor
    """Of the latents that the picture may have."""
    std_BCHW: Tensor
    cls_BKE: Tensor
    patches_BKPV: Tensor


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
    def forward(self, image_BSSC: Tensor, image_BKRRC: Tensor) -> Seen:
        """Of uint8 RGB pictures and references."""
        image_BCHW = image_BSSC.movedim(-1, -3).to(self.vae.dtype) / 127.5 - 1
        posterior = self.vae.encode(image_BCHW).latent_dist
        return Seen(posterior.mean, posterior.std, *self.encoder(self.normalise(image_BKRRC)))

    def drawn(self, seen: Seen, posterior_BCHW: Tensor) -> Tensor:
        """Scaled latents, float32 (B, C, H, W), as a standard normal draw has them."""
        latents_BCHW = seen.mean_BCHW.float() + seen.std_BCHW.float() * posterior_BCHW
        return (latents_BCHW - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor
