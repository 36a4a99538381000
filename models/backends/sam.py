# SPDX-License-Identifier: Apache-2.0
"""SAM (Kirillov et al. 2023, arXiv 2304.02643), prompted by boxes.

An image is encoded once, however many boxes it has; boxes are decoded in chunks.

Shapes: B images, N boxes, H = W pixels of the model's square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.protocols import Mask, Segmenter
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import SamModel, SamProcessor


@dataclass(frozen=True, kw_only=True)
class Sam(Runtime):
    """SAM through transformers; any `SamModel`."""

    model: str = "facebook/sam-vit-huge"
    """Hub name, local folder, or `miniature:segmenter`."""
    boxes_at_once: Count = 32
    """Boxes of one image that are decoded together."""

    def load(self) -> Segmenter:
        """Bring model and processor to the device."""
        from transformers import SamModel, SamProcessor

        device, dtype = self.place()
        processor = pretrained(SamProcessor, self.model, self.revision)
        model = pretrained_model(SamModel, self.model, self.revision, dtype)
        return _Loaded(self.prepared(model, device), processor, self.boxes_at_once)


class _Loaded:
    def __init__(self, model: SamModel, processor: SamProcessor, boxes_at_once: int) -> None:
        self._model, self._images = model, processor.image_processor
        self._boxes_at_once = boxes_at_once

    def segment(self, images: Sequence[Image], boxes: Sequence[np.ndarray]) -> list[list[Mask]]:
        wanted = [index for index, found in enumerate(boxes) if len(found)]
        masks: list[list[Mask]] = [[] for _ in images]
        if wanted:
            results = self._segment([images[i] for i in wanted], [boxes[i] for i in wanted])
            for index, result in zip(wanted, results, strict=True):
                masks[index] = result
        return masks

    def _segment(self, images: list[Image], boxes: list[np.ndarray]) -> list[list[Mask]]:
        import torch

        pixels = self._images(images=images, return_tensors="pt")
        device, dtype = self._model.device, self._model.dtype
        box_BN4 = _padded(boxes, pixels.original_sizes, pixels.reshaped_input_sizes).to(device, dtype)
        low, score = [], []
        with torch.inference_mode():
            encoded = self._model.get_image_embeddings(pixels.pixel_values.to(device, dtype))
            for chunk_BN4 in box_BN4.split(self._boxes_at_once, dim=1):
                out = self._model(image_embeddings=encoded, input_boxes=chunk_BN4, multimask_output=False)
                low.append(out.pred_masks.float())
                score.append(out.iou_scores.float())
            logits = self._images.post_process_masks(
                torch.cat(low, dim=1), pixels.original_sizes, pixels.reshaped_input_sizes, binarize=False
            )
        score_BN = torch.cat(score, dim=1)[..., 0].cpu()
        return [
            [_mask(logits_NHW[n, 0], float(score_BN[b, n])) for n in range(len(boxes[b]))]
            for b, logits_NHW in enumerate(logits)
        ]


def _padded(boxes: list[np.ndarray], original_B2: Tensor, reshaped_B2: Tensor) -> Tensor:
    """Boxes in pixels of the model's square, (B, N, 4); short rows repeat their last box."""
    import torch

    most = max(map(len, boxes))
    rows = []
    for found, (height, width), (to_height, to_width) in zip(
        boxes, original_B2.tolist(), reshaped_B2.tolist(), strict=True
    ):
        scale = np.array([to_width / width, to_height / height] * 2)
        padded = np.concatenate([found, np.repeat(found[-1:], most - len(found), axis=0)])
        rows.append(torch.from_numpy(padded * scale))
    return torch.stack(rows)


def _mask(logits_HW: Tensor, score: float) -> Mask:
    firm, wide = int((logits_HW > 1).sum()), int((logits_HW > -1).sum())
    return Mask((logits_HW > 0).cpu().numpy(), score, firm / wide if wide else 0.0)
