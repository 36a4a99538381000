# SPDX-License-Identifier: Apache-2.0
"""A segmenter that is prompted with boxes: an image is encoded once, its boxes decoded in chunks.

Shapes: B images, N boxes, H = W pixels of the model's square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL.Image import Image

from models.backends.protocols import Mask

if TYPE_CHECKING:
    from torch import Tensor


class BoxModel(Protocol):
    """What is asked of a model."""

    def encode(self, pixels_B3HW: Tensor) -> Tensor:
        """What the decoder takes, a row an image; moves the pixels to where the model is."""
        ...

    def decode(self, encoded: Tensor, box_BN4: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of masks (B, N, 1, h, w) and their scores (B, N, 1).

        Boxes are in pixels of the square, of the encoded images' device and dtype.
        """
        ...


class BoxSegmenter:
    """See `models.backends.protocols.Segmenter`."""

    def __init__(self, model: BoxModel, processor: Any, boxes_at_once: int) -> None:
        """
        Args:
            model: encodes and decodes.
            processor: transformers' image processor for SAM.
            boxes_at_once: boxes of an image that are decoded together.
        """
        self._model, self._images, self._boxes_at_once = model, processor, boxes_at_once

    def segment(self, images: Sequence[Image], boxes: Sequence[np.ndarray]) -> list[list[Mask]]:
        """A mask for each box of each image."""
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
        box_BN4 = _padded(boxes, pixels.original_sizes, pixels.reshaped_input_sizes)
        low, score = [], []
        with torch.inference_mode():
            encoded = self._model.encode(pixels.pixel_values)
            for chunk_BN4 in box_BN4.to(encoded).split(self._boxes_at_once, dim=1):
                masks, scores = self._model.decode(encoded, chunk_BN4)
                low.append(masks.float())
                score.append(scores.float())
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
