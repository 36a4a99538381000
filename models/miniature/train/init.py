# SPDX-License-Identifier: Apache-2.0
"""Initial weights that let small transformers learn from scratch in minutes.

Shapes: G x G grid cells, D width.
"""

import torch
from torch import Tensor


def sincos_positions(grid: int, width: int) -> Tensor:
    """Two-dimensional sine and cosine position vectors, float32 (G * G, D), row-major."""
    frequency = 1 / 100 ** torch.linspace(0, 1, width // 4)
    angles = torch.arange(grid)[:, None] * frequency
    one_axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows = one_axis[:, None].expand(-1, grid, -1)
    columns = one_axis[None].expand(grid, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def tie_queries_and_keys(qkv_weight: Tensor) -> None:
    """Start keys equal to queries in a fused (3 D, D) projection: attention begins by likeness."""
    width = qkv_weight.shape[0] // 3
    with torch.no_grad():
        qkv_weight[width : 2 * width] = qkv_weight[:width]
