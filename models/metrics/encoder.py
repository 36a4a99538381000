# SPDX-License-Identifier: Apache-2.0
"""What metrics with an image encoder have in common.

Shapes: N pictures, D width of an embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from models.backends.bounds import Count
from models.backends.runtime import Runtime
from models.metrics.regions import Ground, Region

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

ABSENT = 0.0
"""The cosine that stands for a subject which is not there."""


@dataclass(frozen=True, kw_only=True)
class EncoderMetric(Runtime):
    """Cosines in [-1, 1]."""

    name: ClassVar[str]
    better: ClassVar[str] = "higher"
    regions: tuple[Region, ...] = ("whole", "subject", "background")
    """Which parts of pictures are looked at."""
    ground: Ground = "grey"
    """What cut-outs are laid on."""
    batch_size: Count = 32
    """Pictures a forward pass."""

    @abstractmethod
    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """Embeddings (N, D) of pixel values (N, 3, height, width)."""


class Embedder:
    """An encoder in batches."""

    def __init__(self, metric: EncoderMetric, processor: Any, model: Any) -> None:
        """With a loaded encoder."""
        self._metric, self._processor, self._model = metric, processor, model

    def __call__(self, images: Sequence[Image]) -> list[Tensor]:
        """Normalised embeddings (D,), float32 on the CPU."""
        import torch
        import torch.nn.functional as F

        found: list[Tensor] = []
        for start in range(0, len(images), self._metric.batch_size):
            some = [image.convert("RGB") for image in images[start : start + self._metric.batch_size]]
            pixels = self._processor(images=some, return_tensors="pt").pixel_values
            with torch.inference_mode():
                out = self._metric.embed(self._model, pixels.to(self._model.device, self._model.dtype))
            found += F.normalize(out.float(), dim=-1).cpu().unbind()
        return found
