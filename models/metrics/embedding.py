# SPDX-License-Identifier: Apache-2.0
"""Metrics that are cosines of what an image encoder makes of two pictures."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from models.backends.weights import pretrained, pretrained_model
from models.metrics.compared import compared
from models.metrics.encoder import ABSENT, Embedder, EncoderMetric
from models.metrics.image_set import ImageSet, Measure, Scores


@dataclass(frozen=True, kw_only=True)
class EmbeddingMetric(EncoderMetric):
    """How alike pictures are."""

    @abstractmethod
    def parts(self) -> tuple[Any, Any]:
        """The classes of processor and model."""

    def options(self) -> dict[str, Any]:
        """For the model's class."""
        return {}

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
        model = self.prepared(model, device)
        if self.compile:
            model.compile()
        return Embedder(self, processor, model)


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
            ABSENT,
        )
