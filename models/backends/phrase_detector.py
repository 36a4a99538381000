# SPDX-License-Identifier: Apache-2.0
"""A detector that is prompted with phrases: prompts packed, boxes labelled by position.

All phrases of an image stand in one prompt, `cat . red mug .`; every box scores every token. The label
of a box is the phrase whose own tokens it scored highest, found by position: no text is ever decoded
from thresholded tokens, which is where labels such as "##van" or "car taxi" come from.

Shapes: B prompts, Q queries, T tokens, P phrases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PIL.Image import Image

from models.backends.phrase_prompts import Prompt, packed_prompts
from models.backends.protocols import Detection

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

Forward = Callable[[Sequence[Image], Sequence[str]], "tuple[Tensor, Tensor]"]
"""From images and a prompt for each to logits (B, Q, T) and boxes (B, Q, 4), cxcywh in [0, 1]."""


class PhraseDetector:
    """See `models.backends.protocols.Detector`."""

    def __init__(
        self, forward: Forward, tokenizer: PreTrainedTokenizerBase, limit: int, separator: str
    ) -> None:
        """
        Args:
            forward: of the model.
            tokenizer: the model's.
            limit: tokens that a prompt may have.
            separator: what stands between the phrases of a prompt.
        """
        self._forward, self._tokenizer = forward, tokenizer
        self._limit, self._separator = limit, separator

    def detect(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]], threshold: float
    ) -> list[list[Detection]]:
        """Boxes of each image that score a phrase above the threshold, the surest first."""
        prompts = [
            (image, prompt)
            for image, wanted in enumerate(phrases)
            for prompt in packed_prompts(wanted, self._tokenizer, self._limit, self._separator)
        ]
        found: list[list[Detection]] = [[] for _ in images]
        if prompts:
            score_BQP, box_BQ4 = self._scores([images[i] for i, _ in prompts], [p for _, p in prompts])
            for (image, prompt), score_QP, box_Q4 in zip(prompts, score_BQP, box_BQ4, strict=True):
                found[image] += _kept(score_QP, box_Q4, prompt, images[image].size, threshold)
        return [sorted(boxes, key=lambda d: (-d.score, d.phrase, d.box)) for boxes in found]

    def raw(self, images: Sequence[Image], texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """See `Forward`."""
        return self._forward(images, texts)

    def _scores(self, images: list[Image], prompts: list[Prompt]) -> tuple[list[Tensor], Tensor]:
        """For each prompt the score of every query and phrase, (Q, P), and boxes cxcywh in [0, 1]."""
        import torch

        with torch.inference_mode():
            logits_BQT, box_BQ4 = self.raw(images, [prompt.text for prompt in prompts])
        token_BQT, box_BQ4 = logits_BQT.float().sigmoid().cpu(), box_BQ4.float().cpu()
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
