# SPDX-License-Identifier: Apache-2.0
"""A segmenter that is prompted with boxes: an image is encoded once, its boxes decoded in chunks.

Shapes: B images, N boxes, H = W pixels of the model's square, or H, W of a picture; h = w of decoded masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL.Image import Image

from models.backends.pixels import Pixels, Size, longest
from models.backends.protocols import Mask

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class BoxModel(Protocol):
    """What is asked of a model."""

    def encode(self, pixels_B3HW: Tensor) -> Tensor:
        """What the decoder takes, a row an image."""
        ...

    def decode(self, encoded: Tensor, box_BN4: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of masks (B, N, 1, h, w) and their scores (B, N, 1).

        Boxes are in pixels of the square, on the encoded images' device, and float32 whatever the model
        computes in: bfloat16 counts pixels above 512 by fours.
        """
        ...


class BoxSegmenter:
    """See `models.backends.protocols.Segmenter`."""

    def __init__(
        self, model: BoxModel, processor: Any, boxes_at_once: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        """
        Args:
            model: encodes and decodes.
            processor: transformers' image processor for SAM.
            boxes_at_once: boxes of an image that are decoded together.
            device: of the model.
            dtype: of the pixels.
        """
        self._model, self._processor, self._boxes_at_once = model, processor, boxes_at_once
        self._pixels = Pixels(processor, device, dtype, longest(processor))

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

        sizes = [(image.height, image.width) for image in images]
        side = self._processor.pad_size
        box_BN4 = _padded(boxes, sizes, [self._pixels.size_for(size) for size in sizes])
        masks: list[list[Mask]] = [[] for _ in images]
        with torch.inference_mode():
            encoded = self._model.encode(self._pixels.batch(images, (side["height"], side["width"])))
            box_BN4 = box_BN4.to(encoded.device, torch.float32)
            for chunk_BN4 in box_BN4.split(self._boxes_at_once, dim=1):
                logits_BN1hw, score_BN1 = self._model.decode(encoded, chunk_BN4)
                for place, (mine, size) in enumerate(zip(masks, sizes, strict=True)):
                    count = min(len(boxes[place]) - len(mine), chunk_BN4.shape[1])
                    mine += self._masks(logits_BN1hw[place, :count], score_BN1[place, :count, 0], size)
        return masks

    def _masks(self, logits_N1hw: Tensor, score_N: Tensor, size: Size) -> list[Mask]:
        """Masks at the picture's own size; what is large is an image's chunk of logits, and only here."""
        if not len(score_N):
            return []
        (logits_N1HW,) = self._processor.post_process_masks(
            [logits_N1hw.float()], [size], [self._pixels.size_for(size)], binarize=False
        )
        firm_N, wide_N = ((logits_N1HW > level).flatten(1).sum(1).tolist() for level in (1, -1))
        mask_NHW = (logits_N1HW[:, 0] > 0).cpu().numpy()
        found = zip(mask_NHW, score_N.float().tolist(), firm_N, wide_N, strict=True)
        return [Mask(mask, score, firm / wide if wide else 0.0) for mask, score, firm, wide in found]


def _padded(boxes: list[np.ndarray], original: list[Size], resized: list[Size]) -> Tensor:
    """Boxes in pixels of the model's square, (B, N, 4); short rows repeat their last box."""
    import torch

    most = max(map(len, boxes))
    rows = []
    for found, (height, width), (to_height, to_width) in zip(boxes, original, resized, strict=True):
        scale = np.array([to_width / width, to_height / height] * 2)
        padded = np.concatenate([found, np.repeat(found[-1:], most - len(found), axis=0)])
        rows.append(torch.from_numpy(padded * scale))
    return torch.stack(rows)
