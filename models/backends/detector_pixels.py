# SPDX-License-Identifier: Apache-2.0
"""Pictures as Grounding DINO takes them, those of one shape together: padding costs as much as pixels do.

Shapes: B images of a batch, G of a group, H = height, W = width with padding, Q queries, T tokens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.pixels import Pixels, Size, shortest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Run = Callable[["Tensor", "Tensor", "Sequence[int]"], "tuple[Tensor, Tensor]"]
"""From pixels (G, 3, H, W), where there are some (G, H, W, bool) and the pictures' places in the batch to
logits (G, Q, T) and boxes (G, Q, 4)."""


class DetectorPixels:
    """Each picture is padded to a size that depends on nothing but its own, so that a batch never changes a
    result."""

    def __init__(
        self,
        processor: Any,
        device: torch.device,
        dtype: torch.dtype,
        short: int | None = None,
        long: int | None = None,
        pad_to: int | None = None,
    ) -> None:
        """
        Args:
            processor: transformers' for Grounding DINO.
            device: where to.
            dtype: of the pixels.
            short: pixels that the shorter side is resized to; what the processor says if not given.
            long: most pixels of the longer side; likewise.
            pad_to: sides are padded to a multiple of this; if not given, to a square of the longest.
        """
        least: int = short or processor.size["shortest_edge"]
        self._long: int = long or processor.size["longest_edge"]
        self._pixels = Pixels(processor, device, dtype, shortest(least, self._long))
        self._device, self._pad_to = device, pad_to

    def run(self, images: Sequence[Image], model: Run) -> tuple[Tensor, Tensor]:
        """What a model finds in each picture, (B, Q, T) and (B, Q, 4), whatever their shapes.

        Args:
            images: any, but not none.
            model: is called once for each shape.
        """
        import torch

        groups: dict[Size, list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            groups[self.padded((image.height, image.width))].append(place)
        found = [
            model(*self._group([images[place] for place in places], size), places)
            for size, places in groups.items()
        ]
        order = torch.tensor([place for places in groups.values() for place in places]).argsort()
        logits, boxes = (torch.cat(parts) for parts in zip(*found, strict=True))
        return logits[order.to(logits.device)], boxes[order.to(boxes.device)]

    def padded(self, size: Size) -> Size:
        """What a picture of some size is padded to, once it is resized."""
        if self._pad_to is None:
            return self._long, self._long
        height, width = (-(-side // self._pad_to) * self._pad_to for side in self._pixels.size_for(size))
        return height, width

    def _group(self, images: Sequence[Image], size: Size) -> tuple[Tensor, Tensor]:
        import torch

        there_GHW = torch.zeros((len(images), *size), dtype=torch.bool, device=self._device)
        for place, image in enumerate(images):
            height, width = self._pixels.size_for((image.height, image.width))
            there_GHW[place, :height, :width] = True
        return self._pixels.batch(images, size), there_GHW
