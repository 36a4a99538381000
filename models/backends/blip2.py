# SPDX-License-Identifier: Apache-2.0
"""BLIP-2 captions (Li et al. 2023, arXiv 2301.12597): greedy, deterministic, batched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.protocols import Captioner
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from transformers import Blip2ForConditionalGeneration


@dataclass(frozen=True, kw_only=True)
class Blip2(Runtime):
    """BLIP-2 through transformers; any `Blip2ForConditionalGeneration` with its processor."""

    model: str = "Salesforce/blip2-opt-2.7b"
    """Hub name, local folder, or `miniature:captioner`."""
    max_new_tokens: Count = 30
    """Longest caption, in tokens."""

    def load(self) -> Captioner:
        """Bring model and processor to the device."""
        from transformers import AutoTokenizer, Blip2ForConditionalGeneration, BlipImageProcessorPil

        device, dtype = self.place()
        # Whether torchvision is installed or not: it resizes otherwise.
        images = pretrained(BlipImageProcessorPil, self.model, self.revision)
        tokenizer = pretrained(AutoTokenizer, self.model, self.revision)
        model = pretrained_model(Blip2ForConditionalGeneration, self.model, self.revision, dtype)
        return _Loaded(self.prepared(model, device), images, tokenizer, self.max_new_tokens)


class _Loaded:
    def __init__(
        self, model: Blip2ForConditionalGeneration, images: Any, tokenizer: Any, max_new_tokens: int
    ) -> None:
        self._model, self._images, self._tokenizer = model, images, tokenizer
        self._max_new_tokens = max_new_tokens

    def caption(self, images: Sequence[Image]) -> list[str]:
        import torch

        if not images:
            return []
        # Without a text prompt nothing is padded, so a caption cannot depend on its neighbours.
        pixels = self._images(images=list(images), return_tensors="pt").pixel_values
        with torch.inference_mode():
            tokens = self._model.generate(
                pixel_values=pixels.to(self._model.device, self._model.dtype),
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
            )
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]
