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
from models.backends.compiling import Compiling
from models.backends.detector_pixels import DetectorPixels
from models.backends.phrase_detector import Forward, PhraseDetector
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GroundingDinoForObjectDetection

_TOKENS = 8
"""Texts are padded to a multiple of this many tokens for a compiled model: fewer lengths to compile for."""


@dataclass(frozen=True, kw_only=True)
class GroundingDino(Runtime):
    """Grounding DINO through transformers; any `GroundingDinoForObjectDetection`."""

    model: str = "IDEA-Research/grounding-dino-tiny"
    """Hub name, local folder, or `miniature:detector`."""
    short_side: Count | None = None
    """Pixels that the shorter side is resized to; what the processor says if not given."""
    long_side: Count | None = None
    """Most pixels of the longer side; what the processor says if not given."""
    pad_to: Count | None = None
    """Sides are padded to multiples of this, and images of one padded size go through the model together;
    if not given, all are padded to a square of the longest side. A batch changes a result neither way, but
    scores are not the same in both: the backbone's windows reach into what is padded."""
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
        pixels = DetectorPixels(images, device, dtype, self.short_side, self.long_side, self.pad_to)
        forward = _forward(model, pixels, tokenizer, Compiling(self.compile, model))
        return PhraseDetector(forward, tokenizer, model.config.max_text_len, self.separator)

    def architecture(self) -> Any:
        """The model's class."""
        from transformers import GroundingDinoForObjectDetection

        return GroundingDinoForObjectDetection


@dataclass(frozen=True, kw_only=True)
class MmGroundingDino(GroundingDino):
    """MM Grounding DINO through transformers (Zhao et al. 2024, arXiv 2401.02361): the same detector with
    another head, trained on more data. Of both, Swin's and BERT's attention is PyTorch's fused one and that
    between pictures and texts is not (transformers 5.23)."""

    model: str = "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det"
    """Hub name, or local folder, of any `MMGroundingDinoForObjectDetection`."""

    def architecture(self) -> Any:
        """The model's class."""
        from transformers import MMGroundingDinoForObjectDetection

        return MMGroundingDinoForObjectDetection


def _forward(
    model: GroundingDinoForObjectDetection, pixels: DetectorPixels, tokenizer: Any, compiling: Compiling
) -> Forward:
    multiple = _TOKENS if compiling.on else None

    def forward(images: Sequence[Image], texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        text = tokenizer([*texts], padding=True, pad_to_multiple_of=multiple, return_tensors="pt")
        text = text.to(model.device)

        def run(pixels_G3HW: Tensor, there_GHW: Tensor, places: Sequence[int]) -> tuple[Tensor, Tensor]:
            out = model(
                pixel_values=compiling.filled(pixels_G3HW),
                pixel_mask=compiling.filled(there_GHW),
                input_ids=compiling.filled(text.input_ids[places]),
                attention_mask=compiling.filled(text.attention_mask[places]),
                token_type_ids=compiling.filled(text.token_type_ids[places]),
            )
            return out.logits[: len(places)], out.pred_boxes[: len(places)]

        return pixels.run(images, run)

    return forward
