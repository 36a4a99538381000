# SPDX-License-Identifier: Apache-2.0
"""Cross-attention that keeps each subject's words in their region (section 3.3).

Scores of a subject's words gain inside of its region in proportion to the noise, and are nothing outside.

Shapes: B pictures, N heads, P places, L tokens, S subjects, D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import log
from typing import Any

import torch
from torch import Tensor

from models.consistency.cones2.layout import Layout
from models.consistency.processors import Around
from models.consistency.unet_layout import Layer, grid, layers_of

_MOST = 14.6146
"""sigma at Stable Diffusion's first step."""


@dataclass
class Rectifying:
    """What layers need to know of the present call."""

    layout: Layout
    owner_BL: Tensor
    """int64: the subject, from 1 on, whose word a token is; 0 of none."""
    weight: float
    """g."""
    sigma: float = 0.0
    """Noise over signal of the present step."""
    active: bool = False
    latents: tuple[int, int] = (0, 0)
    _maps: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def strength(self) -> float:
        """eta: at most what it is at the noisy end of Stable Diffusion's schedule; others have no end."""
        return self.weight * log(1 + min(self.sigma, _MOST) ** 2)

    def maps(self, depth: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Gains, float32 (B, P, L), and what must not be looked at, bool (B, P, L)."""
        if depth not in self._maps:
            inside_SP = self.layout.on(grid(depth, *self.latents)).flatten(1)
            nobody_1P = torch.ones_like(inside_SP[:1])
            may_BLP = torch.cat([nobody_1P, inside_SP])[self.owner_BL]
            gain_S = torch.tensor([0.0, *self.layout.weights])
            gain_BLP = gain_S[self.owner_BL][..., None] * may_BLP
            self._maps[depth] = gain_BLP.transpose(1, 2).to(device), ~may_BLP.transpose(1, 2).to(device)
        return self._maps[depth]

    def begin(self, height: int, width: int) -> None:
        """With latents of this size."""
        if self.latents != (height, width):
            self.latents = (height, width)
            self._maps.clear()


class Rectified(Around):
    """A cross-attention layer; in rows with the prompt words are kept in their regions."""

    def __init__(self, inner: Any, rectifying: Rectifying, layer: Layer) -> None:
        """
        Args:
            inner: the pipeline's own processor.
            rectifying: of the call.
            layer: this one.
        """
        super().__init__(inner)
        self._rectifying, self._layer = rectifying, layer

    def changed(
        self, attn: Any, hidden_BPC: Tensor, text_BLC: Any, mask: Tensor | None, output_BPC: Tensor
    ) -> Tensor:
        """See `Around`; what another adapter adds to the text's part stays."""
        if not self._rectifying.active:
            return output_BPC
        last = slice(-len(self._rectifying.owner_BL), None)
        plain, rectified = self._both(attn, hidden_BPC[last], text_BLC[last])
        # The projection's bias is in both.
        change = attn.to_out[0](rectified) - attn.to_out[0](plain)
        output_BPC = output_BPC.clone()
        output_BPC[last] += change / attn.rescale_output_factor
        return output_BPC

    def _both(self, attn: Any, hidden_BPC: Tensor, text_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """What heads give before the output projection, (B, P, C): plainly, and rectified."""
        value_BNLD = attn.to_v(text_BLC).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        found = []
        for weights_BNPL in self.weights(attn, hidden_BPC, text_BLC):
            heads_BNPD = weights_BNPL.to(value_BNLD) @ value_BNLD
            found.append(heads_BNPD.transpose(1, 2).flatten(2))
        return found[0], found[1]

    def weights(self, attn: Any, hidden_BPC: Tensor, text_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (B, N, P, L), float32: plainly, and rectified."""
        query, key = (
            each.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for each in (attn.to_q(hidden_BPC), attn.to_k(text_BLC))
        )
        scores_BNPL = query.float() @ key.float().transpose(2, 3)
        gain_BPL, never_BPL = self._rectifying.maps(self._layer.depth, scores_BNPL.device)
        # Of each picture by itself, so that it does not depend on the others.
        std_B111 = scores_BNPL.flatten(1).std(1)[:, None, None, None]
        changed = scores_BNPL + self._rectifying.strength * std_B111 * gain_BPL[:, None]
        changed = changed.masked_fill(never_BPL[:, None], -torch.inf)
        return (scores_BNPL * attn.scale).softmax(-1), (changed * attn.scale).softmax(-1)


@contextmanager
def rectified_layers(unet: Any, rectifying: Rectifying) -> Iterator[None]:
    """Put the processors in, and the pipeline's own back."""
    before = unet.attn_processors
    changed = {
        layer.name: Rectified(before[layer.name], rectifying, layer)
        for layer in layers_of(unet)
        if layer.cross
    }
    unet.set_attn_processor({**before, **changed})
    try:
        yield
    finally:
        unet.set_attn_processor(before)
