# SPDX-License-Identifier: Apache-2.0
"""The probabilities of chosen cross-attention layers, caught as they are computed, with their gradient.

Shapes: B samples, N heads, Q places, L tokens, D width of a state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor


class PlainAttention:
    """An attention processor that computes plainly, since fused kernels do not tell probabilities."""

    def see(self, map_BNQL: Tensor) -> None:
        """Get the probabilities of a forward pass."""
        raise NotImplementedError

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        """See diffusers' `AttnProcessor`."""
        context_BLD = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(context_BLD))
        value = attn.head_to_batch_dim(attn.to_v(context_BLD))
        probabilities = attn.get_attention_scores(query, key, attention_mask)
        self.see(probabilities.unflatten(0, (-1, attn.heads)))
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(probabilities @ value)))


class _Capture(PlainAttention):
    def __init__(self) -> None:
        self.armed = False
        self.map_BNQL: Tensor | None = None

    def see(self, map_BNQL: Tensor) -> None:
        # Once: gradient checkpointing computes the layer again during the backward pass.
        if self.armed:
            self.map_BNQL, self.armed = map_BNQL, False


class AttentionCapture:
    """Catches the maps of chosen layers of a UNet, forward pass by forward pass, from now on."""

    def __init__(self, unet: Any, names: Sequence[str]) -> None:
        """
        Args:
            unet: a `UNet2DConditionModel`; these layers compute plainly from now on.
            names: of its attention processors, in the order in which maps are wanted.
        """
        self._captures = {name: _Capture() for name in names}
        if names:
            unet.set_attn_processor({**unet.attn_processors, **self._captures})

    def begin(self) -> None:
        """Catch those of the next forward pass."""
        for capture in self._captures.values():
            capture.armed, capture.map_BNQL = True, None

    def take(self) -> list[Tensor]:
        """What was caught, (B, N, Q, L) each, with gradient; it is not kept."""
        found = [capture.map_BNQL for capture in self._captures.values()]
        for capture in self._captures.values():
            capture.armed, capture.map_BNQL = False, None
        return [map_BNQL for map_BNQL in found if map_BNQL is not None]


def layers_at(unet: Any, cells: Sequence[int]) -> list[str]:
    """Names of the cross-attention processors on grids of 1/n of the latents' side, in order of computation.

    The official choice, blocks 1 and 2 on either side and the middle, is (2, 4, 8) of Stable Diffusion.

    Args:
        unet: a `UNet2DConditionModel`.
        cells: the n.

    Raises:
        ValueError: there is no such layer.
    """
    downs, ups = len(unet.down_blocks), len(unet.up_blocks)
    scales = {f"down_blocks.{place}.": 2**place for place in range(downs)}
    scales["mid_block."] = 2 ** (downs - 1)
    scales |= {f"up_blocks.{place}.": 2 ** (ups - 1 - place) for place in range(ups)}
    names = [name for name in unet.attn_processors if ".attn2." in name and "fuser" not in name]
    order = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    grids = {name: next(scale for begin, scale in scales.items() if name.startswith(begin)) for name in names}
    chosen = [name for name, scale in grids.items() if scale in cells]
    if not chosen:
        there = sorted({*grids.values()})
        raise ValueError(
            f"attention_cells is {[*cells]}; this base has cross-attention on 1/n of its latents' side for n "
            f"in {there}"
        )
    return sorted(chosen, key=lambda name: order[name.split(".")[0]])


@contextmanager
def captured(unet: Any, names: Sequence[str]) -> Iterator[AttentionCapture]:
    """Catch the maps of these layers in the next forward pass; afterwards the UNet is as it was.

    The backward pass belongs inside: with gradient checkpointing it computes the layers once more.
    """
    before = unet.attn_processors
    capture = AttentionCapture(unet, names)
    capture.begin()
    try:
        yield capture
    finally:
        unet.set_attn_processor(before)
