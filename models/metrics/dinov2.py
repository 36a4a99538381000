# SPDX-License-Identifier: Apache-2.0
"""DINOv2 (Oquab et al. 2023, arXiv 2304.07193): what DCO's paper measures images with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from models.metrics.embedding import EmbeddingMetric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class DinoV2(EmbeddingMetric):
    """Any `Dinov2Model`."""

    name: ClassVar[str] = "dinov2"
    model: str = "facebook/dinov2-base"
    """Hub name, local folder, or `miniature:NAME`."""

    def parts(self) -> tuple[Any, Any]:
        """Of transformers."""
        from transformers import BitImageProcessorPil, Dinov2Model

        return BitImageProcessorPil, Dinov2Model

    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """The class token after the last norm."""
        return model(pixel_values=pixels).last_hidden_state[:, 0]
