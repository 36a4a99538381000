# SPDX-License-Identifier: Apache-2.0
"""A text encoder that reads references: a placeholder's embedding is replaced by a projected picture.

Shapes: B samples, L tokens, K subjects, D width of the text encoder, C width of a picture's embedding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer


class ClsProjector(nn.Sequential):
    """From a picture's CLS embedding (..., C) to a word's (..., D), without a residual (spec section 2.2)."""

    def __init__(self, image_width: int, text_width: int) -> None:
        super().__init__(
            nn.LayerNorm(image_width),
            nn.Linear(image_width, text_width),
            nn.GELU(),
            nn.Linear(text_width, text_width),
        )


def with_placeholder(tokenizer: CLIPTokenizer, encoder: CLIPTextModel, word: str) -> None:
    """See that a word is one token, in place: it is added to both if the tokenizer splits it."""
    if len(tokenizer(word, add_special_tokens=False).input_ids) != 1:
        tokenizer.add_tokens([word])
        encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)


@contextmanager
def replaced(encoder: CLIPTextModel, words_BKD: Tensor, place_BK: Tensor, there_BK: Tensor) -> Iterator[None]:
    """While this lasts the encoder finds these words at these places, before positions are added.

    Args:
        encoder: left as it was.
        words_BKD: what replaces a token's embedding.
        place_BK: int64, whose.
        there_BK: bool; where False nothing is replaced.
    """

    def hook(_: nn.Module, __: object, embeddings_BLD: Tensor) -> Tensor:
        # Without indices that depend on values: a GPU's queue would have to be waited for.
        order_L = torch.arange(embeddings_BLD.shape[1], device=place_BK.device)
        here_BKL = (place_BK[..., None] == order_L) & there_BK[..., None]
        told_BKD = torch.where(there_BK[..., None], words_BKD, 0).to(embeddings_BLD.dtype)
        inserted_BLD = here_BKL.to(told_BKD.dtype).transpose(1, 2) @ told_BKD
        return torch.where(here_BKL.any(1)[..., None], inserted_BLD, embeddings_BLD)

    handle = encoder.get_input_embeddings().register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def encoded(
    encoder: CLIPTextModel, ids_BL: Tensor, words_BKD: Tensor | None, place_BK: Tensor, there_BK: Tensor
) -> Tensor:
    """States (B, L, D) after the final norm, of prompts whose placeholders are these words; None for none."""
    if words_BKD is None:
        return encoder(ids_BL).last_hidden_state
    with replaced(encoder, words_BKD, place_BK, there_BK):
        return encoder(ids_BL).last_hidden_state
