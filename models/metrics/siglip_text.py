# SPDX-License-Identifier: Apache-2.0
"""SigLIP: cosine of its embeddings of a picture and its prompt (Zhai et al. 2023, arXiv 2303.15343)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from models.metrics.text_alignment import TextMetric


@dataclass(frozen=True, kw_only=True)
class SiglipText(TextMetric):
    """Any `SiglipModel`; what DCO's paper measures text similarity with."""

    name: ClassVar[str] = "siglip_t"
    model: str = "google/siglip-base-patch16-224"
    """Hub name or local folder."""

    def parts(self) -> tuple[Any, Any, Any]:
        """Of transformers."""
        from transformers import AutoTokenizer, SiglipImageProcessorPil, SiglipModel

        return SiglipImageProcessorPil, AutoTokenizer, SiglipModel

    def padded(self) -> str:
        """To the full length, as in its training; it has no attention mask."""
        return "max_length"
