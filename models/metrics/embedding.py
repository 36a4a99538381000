# SPDX-License-Identifier: Apache-2.0
"""Metrics that are cosines of what an image encoder makes of pictures.

Shapes: N pictures, D width of an embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from models.backends.bounds import Count
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model
from models.metrics.compared import compared
from models.metrics.image_set import ImageSet, Measure, Scores
from models.metrics.regions import Ground, Region

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

NOTHING_ALIKE = 0.0
"""The cosine that stands for a subject which is not there."""


@dataclass(frozen=True, kw_only=True)
class EmbeddingMetric(Runtime):
    """How alike pictures are; cosines in [-1, 1]."""

    name: ClassVar[str]
    better: ClassVar[str] = "higher"
    regions: tuple[Region, ...] = ("whole", "subject", "background")
    """Which parts of pictures are compared."""
    ground: Ground = "grey"
    """What cut-outs are laid on."""
    batch_size: Count = 32
    """Pictures a forward pass."""

    @abstractmethod
    def parts(self) -> tuple[Any, Any]:
        """The classes of processor and model."""

    def options(self) -> dict[str, Any]:
        """For the model's class."""
        return {}

    @abstractmethod
    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """Embeddings (N, D) of pixel values (N, 3, height, width)."""

    def load(self) -> Measure:
        """The metric with its weights.

        Raises:
            MissingWeights: they cannot be had.
            MissingDevice: there is no such GPU here.
        """
        return _Loaded(self, self.embedder())

    def embedder(self) -> Embedder:
        """From pictures to embeddings."""
        device, dtype = self.place()
        processors, models = self.parts()
        processor = pretrained(processors, self.model, self.revision)
        model = pretrained_model(models, self.model, self.revision, dtype, **self.options())
        return Embedder(self, processor, self.prepared(model, device))


class Embedder:
    """An encoder in batches."""

    def __init__(self, metric: EmbeddingMetric, processor: Any, model: Any) -> None:
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


class _Loaded:
    def __init__(self, metric: EmbeddingMetric, embedder: Embedder) -> None:
        self._metric, self._embedder = metric, embedder

    def __call__(self, images: ImageSet) -> list[Scores]:
        metric = self._metric
        return compared(
            images,
            metric.name,
            metric.regions,
            metric.ground,
            self._embedder,
            lambda one, other: float(one @ other),
            NOTHING_ALIKE,
        )
