# SPDX-License-Identifier: Apache-2.0
"""Metrics that are cosines of a picture and the prompt that it was drawn for.

Shapes: N pictures or texts, D width of an embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.backends.weights import pretrained, pretrained_model
from models.metrics.encoder import ABSENT, Embedder, EncoderMetric
from models.metrics.image_set import ImageSet, Measure, Scores
from models.metrics.regions import Ground, Region, cut_out, without

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TextMetric(EncoderMetric):
    """How well pictures show what their prompts say: the whole prompt, whichever part is looked at."""

    ground: Ground = "white"
    """What cut-outs are laid on."""

    @abstractmethod
    def parts(self) -> tuple[Any, Any, Any]:
        """The classes of image processor, tokenizer and model."""

    @abstractmethod
    def padded(self) -> str:
        """How texts are padded in this model's training."""

    def embed(self, model: Any, pixels: Tensor) -> Tensor:
        """What texts are compared with."""
        return _plain(model.get_image_features(pixels))

    def load(self) -> Measure:
        """The metric with its weights.

        Raises:
            MissingWeights: they cannot be had.
            MissingDevice: there is no such GPU here.
        """
        device, dtype = self.place()
        processors, tokenizers, models = self.parts()
        processor = pretrained(processors, self.model, self.revision)
        tokenizer = pretrained(tokenizers, self.model, self.revision)
        model = self.prepared(pretrained_model(models, self.model, self.revision, dtype), device)
        if self.compile:
            # Pictures go through this part alone.
            model.vision_model.compile()
        return _Loaded(self, processor, tokenizer, model)


class _Loaded:
    def __init__(self, metric: TextMetric, processor: Any, tokenizer: Any, model: Any) -> None:
        self._metric, self._tokenizer, self._model = metric, tokenizer, model
        self._embedder = Embedder(metric, processor, model)

    def __call__(self, images: ImageSet) -> list[Scores]:
        metric, text_ND = self._metric, self._texts(images.prompts)
        scores: list[Scores] = [{} for _ in images.pictures]
        for region in metric.regions:
            views = [_views(images, place, region, metric.ground) for place in range(len(images.pictures))]
            seen = iter(self._embedder([view for some in views for view in some if view is not None]))
            for place, some in enumerate(views):
                values = [ABSENT if v is None else float(next(seen) @ text_ND[place]) for v in some]
                scores[place][f"{metric.name}_{region}"] = float(np.mean(values))
        return scores

    def _texts(self, prompts: Sequence[str]) -> Tensor:
        import torch
        import torch.nn.functional as F

        longest = min(
            self._tokenizer.model_max_length, self._model.config.text_config.max_position_embeddings
        )
        tokens = self._tokenizer(
            [*prompts],
            padding=self._metric.padded(),
            truncation=True,
            max_length=longest,
            return_tensors="pt",
            # Padding is read where a model was trained to read it, whatever its tokenizer says.
            return_attention_mask=self._metric.padded() != "max_length",
        )
        with torch.inference_mode():
            found = self._model.get_text_features(**tokens.to(self._model.device))
        return F.normalize(_plain(found).float(), dim=-1).cpu()


def _plain(found: Any) -> Tensor:
    """The features, which newer versions of the library wrap."""
    return getattr(found, "pooler_output", found)


def _views(images: ImageSet, place: int, region: Region, ground: Ground) -> list[Image | None]:
    """One of a picture, or one for each subject."""
    picture = images.pictures[place]
    if region == "subject":
        return [cut_out(picture.image, mask, ground) for mask in picture.masks]
    return [picture.image if region == "whole" else without(picture.image, picture.masks, ground)]
