# SPDX-License-Identifier: Apache-2.0
"""CLIP-T: cosine of CLIP's embeddings of a picture and its prompt (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from models.metrics.text_alignment import TextMetric


@dataclass(frozen=True, kw_only=True)
class ClipText(TextMetric):
    """Any `CLIPModel`; papers of this field that say which take ViT-B/32. Not scaled, as some papers do."""

    name: ClassVar[str] = "clip_t"
    model: str = "openai/clip-vit-base-patch32"
    """Hub name, local folder, or `miniature:NAME`."""

    def parts(self) -> tuple[Any, Any, Any]:
        """Of transformers."""
        from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

        return CLIPImageProcessorPil, CLIPTokenizer, CLIPModel

    def padded(self) -> str:
        """To the longest: what is behind the end of a text does not count."""
        return "longest"
