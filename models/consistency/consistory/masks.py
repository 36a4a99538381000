# SPDX-License-Identifier: Apache-2.0
"""Where the subjects are in each picture, from the attention to their words; step by step.

Shapes: B pictures, S subjects, h x w = P places of a grid.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.consistency.otsu import above_otsu

Grid = tuple[int, int]


class SubjectMasks:
    """Averages maps over layers and steps, cuts them, and drops patches at random (sections 4.1, 4.2)."""

    def __init__(self, grids: Sequence[Grid], window: int | None, dropout: float, draws: Draws) -> None:
        """
        Args:
            grids: masks are wanted on, the coarsest first.
            window: steps over which maps are averaged; None for all.
            dropout: share of patches that are dropped.
            draws: which ones.
        """
        self._grids, self._dropout, self._draws = grids, dropout, draws
        self._history: deque[Tensor] = deque(maxlen=window)
        self._sum_BPS: Tensor | None = None
        self._layers = 0
        self.clean: dict[Grid, Tensor] = {}
        """By grid, bool (B, P); empty before the first step has ended."""
        self.kept: dict[Grid, Tensor] = {}
        """The same after dropout."""

    def see(self, map_BPS: Tensor) -> None:
        """Of a layer in this step, attention to each subject's words, mean over heads, float32."""
        self._sum_BPS = map_BPS if self._sum_BPS is None else self._sum_BPS + map_BPS
        self._layers += 1

    def end_step(self, grid: Grid) -> None:
        """Make the masks for the next step.

        Args:
            grid: of the maps that were seen; of a step without any nothing changes.
        """
        if self._sum_BPS is None:
            return
        self._history.append(self._sum_BPS / self._layers)
        self._sum_BPS, self._layers = None, 0
        mean_BPS = torch.stack([*self._history]).mean(0)
        map_BShw = mean_BPS.transpose(1, 2).unflatten(2, grid)
        for wanted in self._grids:
            mask_BP = _mask(map_BShw, wanted)
            dropped_BP = self._draws(len(mask_BP), mask_BP.shape[1]).to(mask_BP.device) < self._dropout
            self.clean[wanted], self.kept[wanted] = mask_BP, mask_BP & ~dropped_BP

    @property
    def remembered(self) -> int:
        """Steps whose maps are kept."""
        return len(self._history)


def _mask(map_BShw: Tensor, grid: Grid) -> Tensor:
    """Of any of the subjects; each map is cut by itself."""
    resized_BShw = F.interpolate(map_BShw.float(), grid, mode="bilinear", align_corners=False)
    return above_otsu(resized_BShw.flatten(0, 1).flatten(1)).unflatten(0, map_BShw.shape[:2]).any(1)


class Draws:
    """Uniform numbers for dropout, from generators of its own; the same on any device."""

    def __init__(self, seed: int, pictures: int | None) -> None:
        """
        Args:
            seed: of all.
            pictures: how many draw on their own; None for one stream for the whole batch.
        """
        places = range(1 if pictures is None else pictures)
        self._batch = pictures is None
        self._generators = [torch.Generator().manual_seed(seed + 1_000_003 * place) for place in places]

    def __call__(self, pictures: int, places: int) -> Tensor:
        """The next ones, float32 (B, P) in [0, 1)."""
        if self._batch:
            return torch.rand(pictures, places, generator=self._generators[0])
        return torch.stack([torch.rand(places, generator=each) for each in self._generators])
