# SPDX-License-Identifier: Apache-2.0
"""CLIP (Radford et al. 2021, arXiv 2103.00020): how well an image and a text agree.

Shapes: B images, H = W pixels of the model's square; h, w before they are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.compiling import Compiling
from models.backends.pixels import Pixels, shortest
from models.backends.protocols import Similarity
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from torch import Tensor
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
        model = self.prepared(model, device)
        compiling = Compiling(self.compile, model.vision_model)
        pixels = Pixels(images, device, dtype, shortest(images.size["shortest_edge"]))
        return _Loaded(model, pixels, images.crop_size["height"], tokenizer, compiling)


class _Loaded:
    def __init__(
        self, model: CLIPModel, pixels: Pixels, side: int, tokenizer: Any, compiling: Compiling
    ) -> None:
        self._model, self._pixels, self._side, self._tokenizer = model, pixels, side, tokenizer
        self._compiling = compiling

    def similarity(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        import torch
        import torch.nn.functional as F

        if not images:
            return []
        device, dtype = self._model.device, self._model.dtype
        pixels_B3HW = torch.stack([self._middle(self._pixels.one(image)) for image in images]).to(dtype)
        tokens = self._tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True).to(device)
        with torch.inference_mode():
            image = self._model.get_image_features(pixel_values=self._compiling.filled(pixels_B3HW))
            text = self._model.get_text_features(tokens.input_ids, attention_mask=tokens.attention_mask)
        one, other = (out.pooler_output.float() for out in (image, text))  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
        return F.cosine_similarity(one[: len(images)], other).tolist()

    def _middle(self, pixels_3hw: Tensor) -> Tensor:
        """The square in the middle, (3, H, W)."""
        top, left = ((side - self._side) // 2 for side in pixels_3hw.shape[1:])
        return pixels_3hw[:, top : top + self._side, left : left + self._side]
