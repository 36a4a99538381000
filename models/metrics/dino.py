# SPDX-License-Identifier: Apache-2.0
"""DINO: cosine of a self-supervised encoder's class tokens (Caron et al. 2021, Ruiz et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from models.metrics.embedding import EmbeddingMetric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Dino(EmbeddingMetric):
    """Any `ViTModel`; papers take ViT-S/16."""

    name: ClassVar[str] = "dino"
    model: str = "facebook/dino-vits16"
    """Hub name, local folder, or `miniature:NAME`."""

    def parts(self) -> tuple[Any, Any]:
        """Of transformers."""
        from transformers import ViTImageProcessorPil, ViTModel

        return ViTImageProcessorPil, ViTModel

    def options(self) -> dict[str, Any]:
        """Its pooling layer belongs to another training."""
        return {"add_pooling_layer": False}

    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """The class token after the last norm."""
        return model(pixel_values=pixels).last_hidden_state[:, 0]
