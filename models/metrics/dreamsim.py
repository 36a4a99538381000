# SPDX-License-Identifier: Apache-2.0
"""DreamSim (Fu et al. 2023, arXiv 2306.09344) as a similarity, 1 less its distance; ConsiStory's measure.

Shapes: N pictures, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from models.metrics.embedding import EmbeddingMetric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DreamSim(EmbeddingMetric):
    """Its single-branch model as a `ViTModel` with the low-rank changes merged; no hub has it so."""

    name: ClassVar[str] = "dreamsim"
    model: str = "./weights/dreamsim"
    """Local folder."""

    def parts(self) -> tuple[Any, Any]:
        """Of transformers."""
        from transformers import ViTImageProcessorPil, ViTModel

        return ViTImageProcessorPil, ViTModel

    def options(self) -> dict[str, Any]:
        """Its pooling layer belongs to another training."""
        return {"add_pooling_layer": False}

    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """The class token, of unit length and then about its own mean, so that cosines are correlations."""
        import torch.nn.functional as F

        unit_ND = F.normalize(model(pixel_values=pixels).last_hidden_state[:, 0].float(), dim=-1)
        return unit_ND - unit_ND.mean(-1, keepdim=True)
