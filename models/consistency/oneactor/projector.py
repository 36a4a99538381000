# SPDX-License-Identifier: Apache-2.0
"""From what the UNet's encoder makes of a picture to offsets of words: the only part that is trained.

Shapes: B pictures, C channels, H, W places, T tokens of the words, D width of a text's state.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        """
        Args:
            channels: that come in.
            out: that go out.
            stride: of the first convolution.
        """
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1)
        self.first_norm = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1)
        self.second_norm = nn.BatchNorm2d(out)
        self.past = nn.Identity() if stride == 1 and channels == out else nn.Conv2d(channels, out, 1, stride)

    def forward(self, states_BCHW: Tensor) -> Tensor:
        """(B, out, H / stride, W / stride)."""
        inner = F.relu(self.first_norm(self.first(states_BCHW)))
        return F.relu(self.second_norm(self.second(inner)) + self.past(states_BCHW))


class Projector(nn.Module):
    """A small residual network (section 4.2, appendix B)."""

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        wide: int,
        tokens: int = 1,
        head: Literal["layernorm", "adain"] = "layernorm",
    ) -> None:
        """
        Args:
            channels: of the UNet's deepest states; halved once, and at each of up to two more stages.
            height: of their grid.
            width: of it.
            wide: of a text's state.
            tokens: how many offsets a picture has.
            head: see `Options.head`.
        """
        super().__init__()
        self.tokens, self.wide = tokens, wide
        inner = channels // 2
        self.stem = nn.Sequential(
            nn.Conv2d(channels, inner, 7, 2, 3),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            Residual(inner, inner),
            Residual(inner, inner),
        )
        height, width = -(-height // 2), -(-width // 2)
        stages: list[nn.Module] = []
        while len(stages) < 2 and min(-(-height // 2), -(-width // 2)) >= 2:
            stages.append(nn.Sequential(Residual(inner, inner // 2, 2), Residual(inner // 2, inner // 2)))
            inner, height, width = inner // 2, -(-height // 2), -(-width // 2)
        self.stages = nn.Sequential(*stages)
        self.out = nn.Linear(inner * height * width, tokens * wide)
        self.norm = nn.LayerNorm(wide) if head == "layernorm" else None
        self.apply(_begin)

    def forward(self, deepest_BCHW: Tensor, words_TD: Tensor | None = None) -> Tensor:
        """Offsets, (B, T, D).

        Args:
            deepest_BCHW: what goes into the UNet's middle block.
            words_TD: the words' own states, whose statistics an `adain` head gives to the offsets.
        """
        flat = self.out(self.stages(self.stem(deepest_BCHW)).flatten(1))
        offsets_BTD = flat.unflatten(1, (self.tokens, self.wide))
        if self.norm is not None:
            return self.norm(offsets_BTD)
        if words_TD is None:
            raise ValueError("an adain head needs the words' states")
        mean, std = offsets_BTD.mean(-1, keepdim=True), offsets_BTD.std(-1, keepdim=True)
        unit_BTD = (offsets_BTD - mean) / (std + 1e-5)
        return unit_BTD * words_TD.std(-1, keepdim=True) + words_TD.mean(-1, keepdim=True)


@torch.no_grad()
def _begin(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
