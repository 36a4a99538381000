# SPDX-License-Identifier: Apache-2.0
"""SAM (Kirillov et al. 2023, arXiv 2304.02643), prompted by boxes, through transformers.

Shapes: B images, N boxes, H = W pixels of the model's square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.backends.bounds import Count
from models.backends.box_segmenter import BoxSegmenter
from models.backends.compiling import Compiling
from models.backends.protocols import Segmenter
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import SamModel


@dataclass(frozen=True, kw_only=True)
class Sam(Runtime):
    """SAM through transformers; any `SamModel`."""

    model: str = "facebook/sam-vit-huge"
    """Hub name, local folder, or `miniature:segmenter`."""
    boxes_at_once: Count = 32
    """Boxes of one image that are decoded together."""

    def load(self) -> Segmenter:
        """Bring model and processor to the device."""
        import torch
        from transformers import SamImageProcessorPil, SamModel

        device, dtype = self.place()
        # Whether torchvision is installed or not: it resizes otherwise.
        processor = pretrained(SamImageProcessorPil, self.model, self.revision)
        model = pretrained_model(SamModel, self.model, self.revision, torch.float32)
        # Not what says where a box is: bfloat16 knows its corners to a pixel or two.
        for part in (model.vision_encoder, model.mask_decoder):
            part.to(dtype)
        model = self.prepared(model, device)
        loaded = _Model(model, Compiling(self.compile, model.vision_encoder))
        return BoxSegmenter(loaded, processor, self.boxes_at_once, device, dtype)


class _Model:
    def __init__(self, model: SamModel, compiling: Compiling) -> None:
        self._model, self._compiling = model, compiling

    def encode(self, pixels_B3HW: Tensor) -> Tensor:
        encoded: Tensor = self._model.get_image_embeddings(self._compiling.filled(pixels_B3HW))  # pyright: ignore[reportAssignmentType]
        return encoded[: len(pixels_B3HW)]

    def decode(self, encoded: Tensor, box_BN4: Tensor) -> tuple[Tensor, Tensor]:
        sparse, dense = self._model.get_prompt_embeddings(input_boxes=box_BN4)  # pyright: ignore[reportArgumentType]
        places = self._model.get_image_wide_positional_embeddings().repeat(len(encoded), 1, 1, 1)
        return self._model.mask_decoder(
            image_embeddings=encoded,
            image_positional_embeddings=places.to(encoded.dtype),
            sparse_prompt_embeddings=sparse.to(encoded.dtype),
            dense_prompt_embeddings=dense.to(encoded.dtype),
            multimask_output=False,
        )
