# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO (Liu et al. 2023, arXiv 2303.05499) with exact labels.

All phrases of an image stand in one prompt, `cat . red mug .`; every box scores every token. The label
of a box is the phrase whose own tokens it scored highest, found by position: no text is ever decoded
from thresholded tokens, which is where labels such as "##van" or "car taxi" come from.

Shapes: B prompts, Q queries, T tokens, P phrases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL.Image import Image

from models.backends.bounds import Count
from models.backends.phrase_prompts import Prompt, packed_prompts
from models.backends.protocols import Detection, Detector
from models.backends.runtime import Runtime
from models.backends.weights import pretrained, pretrained_model

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor


@dataclass(frozen=True, kw_only=True)
class GroundingDino(Runtime):
    """Grounding DINO through transformers; any `GroundingDinoForObjectDetection`."""

    model: str = "IDEA-Research/grounding-dino-tiny"
    """Hub name, local folder, or `miniature:detector`."""
    short_side: Count | None = None
    """Pixels that the shorter side is resized to; what the processor says if not given."""
    long_side: Count | None = None
    """Most pixels of the longer side. Every image is padded to a square of this, so that a batch
    never changes a result; what the processor says if not given."""
    separator: str = " . "
    """What stands between the phrases of a prompt; `,` reproduces Subject-Diffusion's builder."""

    def load(self) -> Detector:
        """Bring model and processor to the device."""
        from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor

        device, dtype = self.place()
        processor = pretrained(GroundingDinoProcessor, self.model, self.revision)
        model = pretrained_model(GroundingDinoForObjectDetection, self.model, self.revision, dtype)
        images = processor.image_processor
        short = self.short_side or images.size["shortest_edge"]
        long = self.long_side or images.size["longest_edge"]
        images.size = {"shortest_edge": short, "longest_edge": long}
        images.pad_size = {"height": long, "width": long}
        return _Loaded(self.prepared(model, device), processor, self.separator)


class _Loaded:
    def __init__(
        self, model: GroundingDinoForObjectDetection, processor: GroundingDinoProcessor, separator: str
    ) -> None:
        self._model, self._images, self._tokenizer = model, processor.image_processor, processor.tokenizer
        self._separator = separator

    def detect(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]], threshold: float
    ) -> list[list[Detection]]:
        limit = self._model.config.max_text_len
        prompts = [
            (image, prompt)
            for image, wanted in enumerate(phrases)
            for prompt in packed_prompts(wanted, self._tokenizer, limit, self._separator)
        ]
        found: list[list[Detection]] = [[] for _ in images]
        if prompts:
            score_BQP, box_BQ4 = self._scores([images[i] for i, _ in prompts], [p for _, p in prompts])
            for (image, prompt), score_QP, box_Q4 in zip(prompts, score_BQP, box_BQ4, strict=True):
                found[image] += _kept(score_QP, box_Q4, prompt, images[image].size, threshold)
        return [sorted(boxes, key=lambda d: (-d.score, d.phrase, d.box)) for boxes in found]

    def _scores(self, images: list[Image], prompts: list[Prompt]) -> tuple[list[Tensor], Tensor]:
        """For each prompt the score of every query and phrase, (Q, P), and boxes cxcywh in [0, 1]."""
        import torch

        pixels = self._images(images=images, return_tensors="pt")
        text = self._tokenizer([prompt.text for prompt in prompts], padding=True, return_tensors="pt")
        device, dtype = self._model.device, self._model.dtype
        with torch.inference_mode():
            out = self._model(
                pixel_values=pixels.pixel_values.to(device, dtype),
                pixel_mask=pixels.pixel_mask.to(device),
                input_ids=text.input_ids.to(device),
                attention_mask=text.attention_mask.to(device),
                token_type_ids=text.token_type_ids.to(device),
            )
        token_BQT, box_BQ4 = out.logits.float().sigmoid().cpu(), out.pred_boxes.float().cpu()
        score_BQP = [
            torch.stack([token_QT[:, tokens].amax(-1) for tokens in prompt.tokens], dim=-1)
            for token_QT, prompt in zip(token_BQT, prompts, strict=True)
        ]
        return score_BQP, box_BQ4


def _kept(
    score_QP: Tensor, box_Q4: Tensor, prompt: Prompt, size: tuple[int, int], threshold: float
) -> list[Detection]:
    best_Q, place_Q = score_QP.max(dim=-1)
    width, height = size
    detections = []
    for query in (best_Q > threshold).nonzero().flatten().tolist():
        cx, cy, w, h = box_Q4[query].tolist()
        x1, x2 = (min(max(x, 0.0), 1.0) * width for x in (cx - w / 2, cx + w / 2))
        y1, y2 = (min(max(y, 0.0), 1.0) * height for y in (cy - h / 2, cy + h / 2))
        if x2 > x1 and y2 > y1:
            phrase = prompt.phrases[int(place_Q[query])]
            detections.append(Detection(phrase, (x1, y1, x2, y2), float(best_Q[query])))
    return detections
