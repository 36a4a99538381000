# SPDX-License-Identifier: Apache-2.0
"""Self-attention that sees the subjects of other pictures too (equations 2 to 4), without a mask in memory.

Pictures that see the same others go together; of these only the kept patches are gathered, so that any
kernel of scaled dot-product attention will do.

Shapes: G halves of guidance, B pictures, P places, Q kept patches, C channels, N heads, D = C / N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Sources = Sequence[tuple[int, ...]]
"""For each picture those that it sees besides itself; numbers beyond the batch are of remembered ones."""
Groups = Sequence[tuple[tuple[int, ...], slice]]
Seen = Mapping[int, tuple[Tensor, Tensor]]
"""Keys and values of the kept patches of pictures, (G, Q, C) each."""


def sources_of(pictures: int, anchors: int, remembered: int | None = None) -> list[tuple[int, ...]]:
    """Everybody sees the anchors and nobody else: the first pictures, or so many remembered ones."""
    if remembered is not None:
        return [tuple(range(pictures, pictures + remembered))] * pictures
    return [tuple(j for j in range(min(anchors, pictures)) if j != i) for i in range(pictures)]


def grouped(sources: Sources) -> Groups:
    """Neighbours that see the same others, with whom they see."""
    groups, begin = [], 0
    for seen, some in groupby(sources):
        end = begin + len([*some])
        groups.append((seen, slice(begin, end)))
        begin = end
    return groups


def queries(attn: Any, hidden: Tensor) -> Tensor:
    """Before heads are split."""
    return attn.to_qkv(hidden).chunk(3, dim=-1)[0] if _fused(attn) else attn.to_q(hidden)


def keys_and_values(attn: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Before heads are split."""
    if _fused(attn):
        _, key, value = attn.to_qkv(hidden).chunk(3, dim=-1)
        return key, value
    return attn.to_k(hidden), attn.to_v(hidden)


def projected(attn: Any, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values before heads are split; with whatever adapters the layers carry."""
    if _fused(attn):
        query, key, value = attn.to_qkv(hidden).chunk(3, dim=-1)
        return query, key, value
    return attn.to_q(hidden), attn.to_k(hidden), attn.to_v(hidden)


def _fused(attn: Any) -> bool:
    return getattr(attn, "fused_projections", False)


def shared_attention(
    attn: Any,
    hidden_GBPC: Tensor,
    groups: Groups,
    seen: Callable[[Tensor, Tensor], Seen],
    blend: tuple[Tensor, float] | None = None,
) -> Tensor:
    """What a self-attention layer gives, (G, B, P, C), its output projection included.

    Args:
        attn: a diffusers `Attention` of a transformer block.
        hidden_GBPC: its input.
        groups: see `grouped`.
        seen: makes what others see of the batch's keys and values, (G, B, P, C) each.
        blend: an unchanged model's queries (G, B, P, C), and their share.
    """
    query, key, value = projected(attn, hidden_GBPC)
    if blend is not None:
        query = torch.lerp(query, blend[0], blend[1])
    there, result = seen(key, value), torch.empty_like(query)
    for sources, some in groups:
        count = some.stop - some.start
        keys, values = (
            torch.cat([own[:, some], *(_for_all(there[j][place], count) for j in sources)], dim=2)
            for place, own in enumerate((key, value))
        )
        result[:, some] = _attended(attn, query[:, some], keys, values)
    return attn.to_out[1](attn.to_out[0](result)) / attn.rescale_output_factor


def _for_all(kept_GQC: Tensor, pictures: int) -> Tensor:
    return kept_GQC[:, None].expand(-1, pictures, -1, -1)


def _attended(attn: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Of (G, B, P, C) queries and (G, B, P + Q, C) keys and values."""
    heads = [
        each.flatten(0, 1).unflatten(-1, (attn.heads, -1)).transpose(1, 2) for each in (query, key, value)
    ]
    query_BNPD, key_BNPD, value_BNPD = heads
    if attn.norm_q is not None:
        query_BNPD = attn.norm_q(query_BNPD)
    if attn.norm_k is not None:
        key_BNPD = attn.norm_k(key_BNPD)
    found_BNPD = F.scaled_dot_product_attention(query_BNPD, key_BNPD, value_BNPD)
    return found_BNPD.transpose(1, 2).flatten(2).unflatten(0, query.shape[:2]).to(query.dtype)
