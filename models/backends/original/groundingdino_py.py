# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO by its authors' package, groundingdino-py, on their own checkpoints.

Shapes: B prompts, Q queries, T tokens.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.grounding_dino import sized
from models.backends.original.bert_tokenizer import bert_tokenizer
from models.backends.original.checkpoint import check_checkpoint, naming, read_checkpoint
from models.backends.original.dino_layout import LENGTH, dino_layout
from models.backends.original.dino_model import PACKAGE, dino_model
from models.backends.original.package import check_installed, computing_in, imported
from models.backends.phrase_detector import Forward, PhraseDetector
from models.backends.protocols import MissingWeights
from models.backends.runtime import Runtime
from models.backends.weights import check_on_hub

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GroundingDinoPy(Runtime):
    """The authors' Grounding DINO with a Swin backbone; sizes are read from the weights."""

    model: str = ""
    """Path of the checkpoint, such as `groundingdino_swint_ogc.pth` or `groundingdino_swinb_cogcoor.pth`."""
    text: str = "google-bert/bert-base-uncased"
    """Hub name or local folder of the tokenizer; BERT's weights are in the checkpoint."""
    short_side: Count | None = None
    """Pixels that the shorter side is resized to; 800 if not given."""
    long_side: Count | None = None
    """Most pixels of the longer side; every image is padded to a square of this. 1333 if not given."""
    separator: str = " . "
    """What stands between the phrases of a prompt."""

    def check(self) -> None:
        """See that package, checkpoint and tokenizer can be had, without loading them.

        Raises:
            MissingPackage: groundingdino-py is not installed.
            MissingWeights: the others cannot.
        """
        check_installed(PACKAGE)
        check_checkpoint(self.model)
        try:
            check_on_hub(self.text, self.revision)
        except MissingWeights as error:
            raise MissingWeights(f"Grounding DINO needs BERT's tokenizer, `text`: {error}") from error

    def load(self) -> PhraseDetector:
        """Bring the model to the device.

        Raises:
            MissingPackage: groundingdino-py is not installed.
            MissingWeights: there is no such checkpoint, or it is of another model.
            MissingDevice: there is no such GPU here.
        """
        from transformers import GroundingDinoImageProcessorPil

        device, dtype = self.place()
        weights = read_checkpoint(self.model)
        with naming(self.model):
            layout = dino_layout(weights)
            tokenizer = bert_tokenizer(self.text, self.revision, weights)
            model = self.prepared(dino_model(weights, layout, tokenizer), device)
        images = sized(GroundingDinoImageProcessorPil(), self.short_side, self.long_side)
        return PhraseDetector(forward_of(model, images, dtype), tokenizer, LENGTH, self.separator)


def forward_of(model: Any, processor: Any, dtype: torch.dtype) -> Forward:
    """Of the authors' model.

    Args:
        model: see `dino_model`, float32.
        processor: transformers' for Grounding DINO, so that both backends see the same pixels.
        dtype: that it computes in, where it can.
    """
    nested = imported(f"{PACKAGE}.util.misc").NestedTensor
    device = next(model.parameters()).device

    def forward(images: Sequence[Image], texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        pixels = processor(images=[*images], return_tensors="pt")
        seen = nested(pixels.pixel_values.to(device), ~pixels.pixel_mask.bool().to(device))
        with computing_in(device, dtype), warnings.catch_warnings():
            # Of what PyTorch has renamed since it was written.
            warnings.simplefilter("ignore")
            out = model(seen, captions=[*texts])
        return out["pred_logits"], out["pred_boxes"]

    return forward
