# SPDX-License-Identifier: Apache-2.0
"""CLIP (Radford et al. 2021, arXiv 2103.00020): how well an image and a text agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.protocols import Similarity
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from transformers import CLIPModel


@dataclass(frozen=True, kw_only=True)
class Clip(Runtime):
    """CLIP through transformers; any `CLIPModel`."""

    model: str = "openai/clip-vit-base-patch32"
    """Hub name or local folder."""

    def load(self) -> Similarity:
        """Bring model and processor to the device."""
        from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

        device, dtype = self.place()
        # Whether torchvision is installed or not: it resizes otherwise.
        images = pretrained(CLIPImageProcessorPil, self.model, self.revision)
        tokenizer = pretrained(AutoTokenizer, self.model, self.revision)
        model = pretrained_model(CLIPModel, self.model, self.revision, dtype)
        return _Loaded(self.prepared(model, device), images, tokenizer)


class _Loaded:
    def __init__(self, model: CLIPModel, images: Any, tokenizer: Any) -> None:
        self._model, self._images, self._tokenizer = model, images, tokenizer

    def similarity(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        import torch
        import torch.nn.functional as F

        if not images:
            return []
        device, dtype = self._model.device, self._model.dtype
        pixels = self._images(images=list(images), return_tensors="pt").pixel_values
        tokens = self._tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True).to(device)
        with torch.inference_mode():
            image = self._model.get_image_features(pixel_values=pixels.to(device, dtype))
            text = self._model.get_text_features(tokens.input_ids, attention_mask=tokens.attention_mask)
        one, other = (out.pooler_output.float() for out in (image, text))  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
        return F.cosine_similarity(one, other).tolist()
