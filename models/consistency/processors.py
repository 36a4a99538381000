# SPDX-License-Identifier: Apache-2.0
"""Attention processors around those that a pipeline has, so that adapters keep working.

Shapes: B pictures, N heads, P places, L tokens, S groups of tokens, C channels, D width of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Around:
    """Calls another processor; what it knows by name, such as IP-Adapter's masks, is passed on."""

    def __init__(self, inner: Any) -> None:
        """
        Args:
            inner: the pipeline's own.
        """
        self.inner = inner

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Any = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        ip_adapter_masks: Any = None,
    ) -> Tensor:
        """See diffusers' `AttnProcessor2_0`."""
        more = {} if ip_adapter_masks is None else {"ip_adapter_masks": ip_adapter_masks}
        output = self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **more)
        # IP-Adapter's pictures come beside the text.
        several = isinstance(encoder_hidden_states, tuple)
        text = encoder_hidden_states[0] if several else encoder_hidden_states
        return self.changed(attn, hidden_states, text, attention_mask, output)

    def changed(
        self, attn: Any, hidden_BPC: Tensor, text_BLC: Any, mask: Tensor | None, output_BPC: Tensor
    ) -> Tensor:
        """What a layer gives in the end: of its input, the text's states, their mask and the inner output."""
        return output_BPC


def word_maps(
    attn: Any, hidden_BPC: Tensor, states_BLC: Tensor, weights_BLS: Tensor, mask: Tensor | None = None
) -> Tensor:
    """How much each place looks at groups of tokens, mean over heads, float32 (B, P, S).

    Args:
        attn: a cross-attention layer.
        hidden_BPC: its input.
        states_BLC: of the text.
        weights_BLS: of each token in each group.
        mask: added to the scores, where the text has one.
    """
    if attn.norm_cross:
        states_BLC = attn.norm_encoder_hidden_states(states_BLC)
    query_BNPD = _heads(attn, attn.to_q(hidden_BPC), attn.norm_q)
    key_BNLD = _heads(attn, attn.to_k(states_BLC), attn.norm_k)
    scores_BNPL = (query_BNPD @ key_BNLD.transpose(2, 3)).float() * attn.scale
    if mask is not None:
        scores_BNPL = scores_BNPL + mask.reshape(len(mask), 1, -1, mask.shape[-1]).float()
    return torch.einsum("bnpl,bls->bps", scores_BNPL.softmax(-1), weights_BLS) / attn.heads


def _heads(attn: Any, each: Tensor, norm: Callable[[Tensor], Tensor] | None) -> Tensor:
    heads = each.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
    return heads if norm is None else norm(heads)
