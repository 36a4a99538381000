# SPDX-License-Identifier: Apache-2.0
"""CLIP-I: cosine of CLIP's image embeddings (Gal et al. 2022, arXiv 2208.01618; Ruiz et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from models.metrics.embedding import EmbeddingMetric
from models.metrics.regions import Ground

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ClipImage(EmbeddingMetric):
    """Any `CLIPVisionModelWithProjection`; papers of this field that say which take ViT-B/32."""

    name: ClassVar[str] = "clip_i"
    model: str = "openai/clip-vit-base-patch32"
    """Hub name, local folder, or `miniature:NAME`."""
    ground: Ground = "white"
    """What cut-outs are laid on."""

    def parts(self) -> tuple[Any, Any]:
        """Of transformers."""
        from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

        return CLIPImageProcessorPil, CLIPVisionModelWithProjection

    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """After the projection that texts share."""
        return model(pixel_values=pixels).image_embeds
