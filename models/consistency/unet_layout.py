# SPDX-License-Identifier: Apache-2.0
"""Which attention layers a UNet has, where, and on what grid: by their names, for any of Stable Diffusion's.

Shapes: H x W latent cells; at depth d a grid has ceil(H / 2^d) x ceil(W / 2^d) places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

_NAME = re.compile(
    r"(?P<part>down|mid|up)_blocks?(?:\.(?P<block>\d+))?\..*\.attn(?P<kind>[12])\.processor", re.DOTALL
)
Part = Literal["down", "mid", "up"]


@dataclass(frozen=True, slots=True)
class Layer:
    """An attention layer of a transformer block."""

    name: str
    """Of its processor."""
    part: Part
    block: int
    depth: int
    """How many times the latents' sides are halved."""
    cross: bool
    """Whether it looks at the text."""


def layers_of(unet: Any) -> list[Layer]:
    """In the order in which they compute.

    Args:
        unet: a `UNet2DConditionModel`.
    """
    deepest = len(unet.up_blocks) - 1
    found = []
    for name in unet.attn_processors:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        part: Any = match["part"]
        block = int(match["block"] or 0)
        depth = {"down": block, "mid": deepest, "up": deepest - block}[part]
        found.append(Layer(name, part, block, depth, match["kind"] == "2"))
    return sorted(found, key=lambda layer: _PARTS.index(layer.part))


_PARTS: tuple[Part, ...] = ("down", "mid", "up")


def grid(depth: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid at a depth, of latents of this size: a down-sampler rounds up."""
    for _ in range(depth):
        height, width = -(-height // 2), -(-width // 2)
    return height, width


def busiest_depth(layers: Iterable[Layer], wanted: int) -> int:
    """`wanted` if blocks on the way down or up attend there, else where most do; of equals the finest."""
    depths = [layer.depth for layer in layers if layer.part != "mid"]
    if wanted in depths or not depths:
        return wanted
    return max(sorted({*depths}), key=depths.count)


def features_block(unet: Any) -> int:
    """The up block whose output is on half of the latents' grid, where DIFT (Tang et al. 2023) reads."""
    return max(0, len(unet.up_blocks) - 3)
