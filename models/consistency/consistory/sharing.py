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


def sources_of(
    pictures: int, anchors: int, remembered: int | None = None, apart: bool = False
) -> list[tuple[int, ...]]:
    """Everybody sees the anchors and nobody else: the first pictures, or so many remembered ones.

    Args:
        pictures: in the batch.
        anchors: of them.
        remembered: how many, if there are any; numbered from `pictures` on.
        apart: whether anchors do not see each other, as given pictures do not.
    """
    if remembered is not None:
        return [tuple(range(pictures, pictures + remembered))] * pictures
    first = range(min(anchors, pictures))
    return [() if apart and i in first else tuple(j for j in first if j != i) for i in range(pictures)]


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
    subject_BP: Tensor | None = None,
) -> Tensor:
    """What a self-attention layer gives, (G, B, P, C), its output projection included.

    Args:
        attn: a diffusers `Attention` of a transformer block.
        hidden_GBPC: its input.
        groups: see `grouped`.
        seen: makes what others see of the batch's keys and values, (G, B, P, C) each.
        blend: an unchanged model's queries (G, B, P, C), and their share.
        subject_BP: if given, where the subject is; others' keys get the statistics of the keys there.
    """
    query, key, value = projected(attn, hidden_GBPC)
    if blend is not None:
        query = torch.lerp(query, blend[0], blend[1])
    there, result = seen(key, value), torch.empty_like(query)
    for sources, some in groups:
        count = some.stop - some.start
        others = [[_for_all(each, count) for each in there[j]] for j in sources]
        if subject_BP is not None:
            others = [[restyled(seen, key[:, some], subject_BP[some]), v] for seen, v in others]
        keys, values = (
            torch.cat([own[:, some], *(each[place] for each in others)], dim=2)
            for place, own in enumerate((key, value))
        )
        result[:, some] = _attended(attn, query[:, some], keys, values)
    return attn.to_out[1](attn.to_out[0](result)) / attn.rescale_output_factor


def _for_all(kept_GQC: Tensor, pictures: int) -> Tensor:
    return kept_GQC[:, None].expand(-1, pictures, -1, -1)


def restyled(seen_GBQC: Tensor, own_GBPC: Tensor, subject_BP: Tensor) -> Tensor:
    """Others' keys with mean and spread, by channel, of a picture's own (AdaIN, appendix E).

    The paper leaves open over what these are taken: here it is the subject's patches on both sides, and all
    of the picture's while no subject has been found in it.
    """
    weight_BP = torch.where(subject_BP.any(1, keepdim=True), subject_BP, True).float()
    weight_BP1 = (weight_BP / weight_BP.sum(1, keepdim=True))[..., None]
    own, seen = own_GBPC.float(), seen_GBQC.float()
    mean = (own * weight_BP1).sum(2, keepdim=True)
    spread = ((own - mean).square() * weight_BP1).sum(2, keepdim=True).sqrt()
    unit = seen - seen.mean(2, keepdim=True)
    unit = unit / (unit.square().mean(2, keepdim=True).sqrt() + 1e-5)
    return (unit * spread + mean).to(seen_GBQC.dtype)


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
