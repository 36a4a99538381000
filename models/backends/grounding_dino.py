# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO (Liu et al. 2023, arXiv 2303.05499) with exact labels, through transformers.

Shapes: B prompts, Q queries, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.phrase_detector import Forward, PhraseDetector
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GroundingDinoForObjectDetection


@dataclass(frozen=True, kw_only=True)
class GroundingDino(Runtime):
    """Grounding DINO through transformers; any `GroundingDinoForObjectDetection`."""

    model: str = "IDEA-Research/grounding-dino-tiny"
    """Hub name, local folder, or `miniature:detector`."""
    short_side: Count | None = None
    """Pixels that the shorter side is resized to; what the processor says if not given."""
    long_side: Count | None = None
    """Most pixels of the longer side. Every image is padded to a square of this, so that a batch
    never changes a result; what the processor says if not given."""
    separator: str = " . "
    """What stands between the phrases of a prompt; `,` reproduces Subject-Diffusion's builder."""

    def load(self) -> PhraseDetector:
        """Bring model and processor to the device."""
        from transformers import AutoTokenizer, GroundingDinoImageProcessorPil

        device, dtype = self.place()
        # Whether torchvision is installed or not: it resizes otherwise.
        images = pretrained(GroundingDinoImageProcessorPil, self.model, self.revision)
        tokenizer = pretrained(AutoTokenizer, self.model, self.revision)
        model = pretrained_model(self.architecture(), self.model, self.revision, dtype)
        model = self.prepared(model, device)
        forward = _forward(model, sized(images, self.short_side, self.long_side), tokenizer)
        return PhraseDetector(forward, tokenizer, model.config.max_text_len, self.separator)

    def architecture(self) -> Any:
        """The model's class."""
        from transformers import GroundingDinoForObjectDetection

        return GroundingDinoForObjectDetection


@dataclass(frozen=True, kw_only=True)
class MmGroundingDino(GroundingDino):
    """MM Grounding DINO through transformers (Zhao et al. 2024, arXiv 2401.02361): the same detector with
    another head, trained on more data; attention is PyTorch's fused one, and it compiles as a whole."""

    model: str = "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det"
    """Hub name, or local folder, of any `MMGroundingDinoForObjectDetection`."""

    def architecture(self) -> Any:
        """The model's class."""
        from transformers import MMGroundingDinoForObjectDetection

        return MMGroundingDinoForObjectDetection


def _forward(model: GroundingDinoForObjectDetection, processor: Any, tokenizer: Any) -> Forward:
    def forward(images: Sequence[Image], texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        pixels = processor(images=[*images], return_tensors="pt")
        text = tokenizer([*texts], padding=True, return_tensors="pt")
        device, dtype = model.device, model.dtype
        out = model(
            pixel_values=pixels.pixel_values.to(device, dtype),
            pixel_mask=pixels.pixel_mask.to(device),
            input_ids=text.input_ids.to(device),
            attention_mask=text.attention_mask.to(device),
            token_type_ids=text.token_type_ids.to(device),
        )
        return out.logits, out.pred_boxes

    return forward


def sized(images: Any, short: int | None, long: int | None) -> Any:
    """An image processor that pads every image to a square, so that a batch never changes a result.

    Args:
        images: of transformers, for Grounding DINO; it is changed.
        short: pixels that the shorter side is resized to; what it says if not given.
        long: most pixels of the longer side, and the square's.
    """
    short, long = short or images.size["shortest_edge"], long or images.size["longest_edge"]
    images.size = {"shortest_edge": short, "longest_edge": long}
    images.pad_size = {"height": long, "width": long}
    return images
