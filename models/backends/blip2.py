# SPDX-License-Identifier: Apache-2.0
"""BLIP-2 captions (Li et al. 2023, arXiv 2301.12597): greedy, deterministic, batched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.compiling import Compiling
from models.backends.pixels import Pixels, square
from models.backends.protocols import Captioner
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from transformers import Blip2ForConditionalGeneration, StaticCache


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
        model = self.prepared(model, device)
        # The language model by its cache of a fixed size: on a GPU transformers compiles it then.
        compiling = Compiling(self.compile, model.vision_model, model.qformer)
        pixels = Pixels(images, device, dtype, square(images))
        return _Loaded(model, pixels, tokenizer, self.max_new_tokens, compiling)


class _Loaded:
    def __init__(
        self,
        model: Blip2ForConditionalGeneration,
        pixels: Pixels,
        tokenizer: Any,
        max_new_tokens: int,
        compiling: Compiling,
    ) -> None:
        self._model, self._pixels, self._tokenizer = model, pixels, tokenizer
        self._max_new_tokens, self._compiling = max_new_tokens, compiling
        self._caches: dict[int, StaticCache] = {}

    def caption(self, images: Sequence[Image]) -> list[str]:
        import torch

        if not images:
            return []
        # Without a text prompt nothing is padded, so a caption cannot depend on its neighbours.
        pixels_B3HW = self._pixels.batch(images, self._pixels.size_for((0, 0)))
        with torch.inference_mode():
            filled_B3HW = self._compiling.filled(pixels_B3HW)
            tokens = self._model.generate(
                pixel_values=filled_B3HW,
                max_new_tokens=self._max_new_tokens,
                do_sample=False,
                num_beams=1,
                **self._cache(len(filled_B3HW)),
            )
        texts = self._tokenizer.batch_decode(tokens[: len(images)], skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def _cache(self, rows: int) -> dict[str, Any]:
        """For a compiled model keys and values at addresses that stay: CUDA graphs are recorded for them."""
        from transformers import StaticCache

        config = self._model.config
        if not self._compiling.on:
            return {}
        if config.get_text_config().is_encoder_decoder:
            return {"cache_implementation": "static"}
        if rows not in self._caches:
            prompt = config.num_query_tokens + 1
            self._caches[rows] = StaticCache(
                config=config.get_text_config(decoder=True), max_cache_len=prompt + self._max_new_tokens
            )
        self._caches[rows].reset()
        return {"past_key_values": self._caches[rows]}
