# SPDX-License-Identifier: Apache-2.0
"""New words with learnt rows: the text encoders' own tables are not touched.

Shapes: T new words, D width of an encoder's embedding, B prompts, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

Rows = Mapping[str, Tensor]
"""By text encoder, float32 (T, D)."""


def encoder_names(pipe: Any) -> list[str]:
    """Of its text encoders."""
    return [name for name in ("text_encoder", "text_encoder_2") if hasattr(pipe, name)]


@torch.no_grad()
def begun_rows(pipe: Any, noun: str) -> dict[str, nn.Parameter]:
    """For each encoder a row of a new word, the mean of the noun's."""
    rows = {}
    for name in encoder_names(pipe):
        tokenizer = getattr(pipe, name.replace("text_encoder", "tokenizer"))
        table = getattr(pipe, name).get_input_embeddings().weight
        ids = tokenizer(noun, add_special_tokens=False).input_ids
        rows[name] = nn.Parameter(table[ids].float().mean(0, keepdim=True))
    return rows


@contextmanager
def with_words(pipe: Any, words: Sequence[str], rows: Rows) -> Iterator[None]:
    """A borrowed pipeline knows new words, with gradient to their rows.

    Args:
        pipe: a borrowed one; its tokenizers are replaced by copies until the block ends.
        words: each becomes one token, and must not be one already; no two of them are equal.
        rows: of them.

    Raises:
        ValueError: a word is known already.
    """
    with ExitStack() as stack:
        for name in encoder_names(pipe) if words else ():
            tokenizer_name = name.replace("text_encoder", "tokenizer")
            tokenizer = deepcopy(getattr(pipe, tokenizer_name))
            whole_words = {f"{word}</w>" for word in words}
            if known := ({*words} | whole_words) & tokenizer.get_vocab().keys():
                told = ", ".join(sorted({each.removesuffix("</w>") for each in known}))
                raise ValueError(f"{told}: a word of the model already; take another token")
            tokenizer.add_tokens([*words])
            stack.callback(pipe.__dict__.__setitem__, tokenizer_name, getattr(pipe, tokenizer_name))
            pipe.__dict__[tokenizer_name] = tokenizer
            first = int(tokenizer.convert_tokens_to_ids(words[0]))
            stack.enter_context(_spliced(getattr(pipe, name).get_input_embeddings(), first, rows[name]))
        yield


@contextmanager
def _spliced(embedding: nn.Module, first: int, rows_TD: Tensor) -> Iterator[None]:
    """Ids from `first` on are looked up among the rows."""
    asked: list[Tensor] = []

    def before(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        asked[:] = [inputs[0]]
        return (torch.where(inputs[0] < first, inputs[0], 0),)

    def after(_module: nn.Module, _inputs: tuple[Tensor, ...], found_BLD: Tensor) -> Tensor:
        ids_BL = asked[0]
        own_BLD = rows_TD[(ids_BL - first).clamp(min=0)].to(found_BLD)
        return torch.where((ids_BL >= first)[..., None], own_BLD, found_BLD)

    hooks = embedding.register_forward_pre_hook(before), embedding.register_forward_hook(after)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def renormalised(rows: Mapping[str, nn.Parameter], norms: Mapping[str, Tensor]) -> None:
    """Give rows their first lengths back."""
    for name, row_TD in rows.items():
        row_TD.mul_(norms[name] / row_TD.norm(dim=-1, keepdim=True).clamp(min=1e-12))
