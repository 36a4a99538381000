# SPDX-License-Identifier: Apache-2.0
"""`torch.compile` for a worker: shapes stay fixed, and there are few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

_SHAPES = 64
"""Of one part, before PyTorch gives up on it."""


class Compiling:
    """Compiles the parts of a model that do the work, if asked to."""

    def __init__(self, on: bool, *parts: nn.Module) -> None:
        """
        Args:
            on: nothing happens otherwise.
            parts: called as modules; each is compiled when it is first called with a shape.
        """
        self.on = on
        if not on:
            return
        import torch._dynamo

        torch._dynamo.config.recompile_limit = max(_SHAPES, torch._dynamo.config.recompile_limit)
        for part in parts:
            part.compile(dynamic=False)

    def filled(self, rows: Tensor) -> Tensor:
        """A batch with its last row repeated up to a power of two, for whatever number of rows there is: of
        so many shapes there are few. The same rows where nothing is compiled."""
        import torch

        more = (1 << (len(rows) - 1).bit_length()) - len(rows)
        if not self.on or not more:
            return rows
        return torch.cat([rows, rows[-1:].expand(more, *rows.shape[1:])])
