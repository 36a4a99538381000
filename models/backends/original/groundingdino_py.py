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
from models.backends.compiling import Compiling
from models.backends.detector_pixels import DetectorPixels
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
    """Most pixels of the longer side; 1333 if not given."""
    pad_to: Count | None = None
    """Sides are padded to multiples of this; if not given, to a square of the longest side."""
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
        import torch
        from transformers import GroundingDinoImageProcessorPil

        device, dtype = self.place()
        weights = read_checkpoint(self.model)
        with naming(self.model):
            layout = dino_layout(weights)
            tokenizer = bert_tokenizer(self.text, self.revision, weights)
            model = self.prepared(dino_model(weights, layout, tokenizer), device)
        # Not the rest: it has another shape for every length of a text.
        compiling = Compiling(self.compile, model.backbone)  # pyright: ignore[reportArgumentType]
        pixels = DetectorPixels(
            GroundingDinoImageProcessorPil(),
            device,
            torch.float32,
            self.short_side,
            self.long_side,
            self.pad_to,
        )
        forward = forward_of(model, pixels, dtype, compiling)
        return PhraseDetector(forward, tokenizer, LENGTH, self.separator)


def forward_of(model: Any, pixels: DetectorPixels, dtype: torch.dtype, compiling: Compiling) -> Forward:
    """Of the authors' model.

    Args:
        model: see `dino_model`, float32.
        pixels: transformers' for Grounding DINO, so that both backends see the same.
        dtype: that it computes in, where it can.
        compiling: of its backbone.
    """
    nested = imported(f"{PACKAGE}.util.misc").NestedTensor
    device = next(model.parameters()).device

    def forward(images: Sequence[Image], texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        def run(pixels_G3HW: Tensor, there_GHW: Tensor, places: Sequence[int]) -> tuple[Tensor, Tensor]:
            with computing_in(device, dtype), warnings.catch_warnings():
                # Of what PyTorch has renamed since it was written.
                warnings.simplefilter("ignore")
                filled = nested(compiling.filled(pixels_G3HW), compiling.filled(~there_GHW))
                asked = [texts[place] for place in places]
                asked += asked[-1:] * (len(filled.tensors) - len(asked))
                out = model(filled, captions=asked)
            return out["pred_logits"][: len(places)], out["pred_boxes"][: len(places)]

        return pixels.run(images, run)

    return forward
