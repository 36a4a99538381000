# SPDX-License-Identifier: Apache-2.0
"""Pictures made ready where the model is: bytes travel, and are resized, scaled and padded there.

What transformers' processors do with Pillow and NumPy, in a third of that on a CPU, and on a GPU none
of a CPU's. On a CPU whole levels are interpolated, as Pillow does it; on a GPU they are rounded once at the
end. A value may differ from Pillow's by one level of 255, after cubic interpolation in places by more.

Shapes: B images, H = height, W = width after padding; h, w before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image, Resampling

from models.backends.protocols import MissingWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Size = tuple[int, int]
"""Height and width in pixels."""

_MODES = {Resampling.BILINEAR: "bilinear", Resampling.BICUBIC: "bicubic"}


class Pixels:
    """An image processor's resizing, scaling and padding, on a device."""

    def __init__(
        self, processor: Any, device: torch.device, dtype: torch.dtype, size_for: Callable[[Size], Size]
    ) -> None:
        """
        Args:
            processor: transformers' image processor, whose numbers are taken.
            device: where to.
            dtype: of the values.
            size_for: what a picture of some size is resized to.

        Raises:
            MissingWeights: if it resizes by another rule than bilinear or bicubic.
        """
        import torch

        if processor.resample not in _MODES:
            raise MissingWeights(
                f"the processor's `resample` is {processor.resample!r}; 2 and 3 (bilinear, bicubic) are known"
            )
        self.size_for = size_for
        self._mode = _MODES[Resampling(processor.resample)]
        self._device, self._dtype = device, dtype
        mean_3, std_3 = (
            torch.tensor(each, device=device) / processor.rescale_factor
            for each in (processor.image_mean, processor.image_std)
        )
        self._mean_311, self._std_311 = mean_3[:, None, None], std_3[:, None, None]

    def batch(self, images: Sequence[Image], padded: Size) -> Tensor:
        """Pictures of any sizes, (B, 3, H, W), each in the upper left corner and 0 beside it.

        Args:
            images: RGB, or what converts to it.
            padded: H and W; nothing is resized to more.
        """
        import torch

        shape = (len(images), 3, *padded)
        values_B3HW = torch.zeros(shape, dtype=self._dtype, device=self._device)
        for place, image in enumerate(images):
            values_3hw = self.one(image)
            values_B3HW[place, :, : values_3hw.shape[1], : values_3hw.shape[2]] = values_3hw
        return values_B3HW

    def one(self, image: Image) -> Tensor:
        """A picture by itself, (3, h, w), float32."""
        import torch.nn.functional as F

        levels_3hw = self._sent(image).permute(2, 0, 1)
        size = self.size_for((image.height, image.width))
        if levels_3hw.shape[1:] != size:
            if self._device.type != "cpu":
                levels_3hw = levels_3hw.float()
            levels_3hw = F.interpolate(levels_3hw[None], size, mode=self._mode, antialias=True)[0]
            if levels_3hw.is_floating_point():
                levels_3hw = levels_3hw.round_().clamp_(0, 255)
        return levels_3hw.float().sub_(self._mean_311).div_(self._std_311)

    def _sent(self, image: Image) -> Tensor:
        """Its bytes, (h, w, 3): a quarter of what floats would be."""
        import torch

        levels_hw3 = torch.from_numpy(np.array(image.convert("RGB")))
        if self._device.type != "cuda":
            return levels_hw3
        return levels_hw3.pin_memory().to(self._device, non_blocking=True)


def square(processor: Any) -> Callable[[Size], Size]:
    """Every picture to one size, whatever its own (BLIP-2)."""
    size = processor.size["height"], processor.size["width"]
    return lambda _: size


def longest(processor: Any) -> Callable[[Size], Size]:
    """The longer side to one length (SAM)."""
    side = processor.size["longest_edge"]

    def size_for(size: Size) -> Size:
        height, width = (int(each * side / max(size) + 0.5) for each in size)
        return height, width

    return size_for


def shortest(side: int, most: int | None = None) -> Callable[[Size], Size]:
    """The shorter side to one length, unless the longer one had more than `most` pixels then (CLIP,
    Grounding DINO)."""
    from transformers.image_transforms import get_size_with_aspect_ratio

    return lambda size: get_size_with_aspect_ratio(size, side, most)
