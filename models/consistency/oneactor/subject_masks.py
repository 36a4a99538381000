# SPDX-License-Identifier: Apache-2.0
"""Where each subject is in a picture that is being drawn, by the attention to its words in the call before.

Shapes: B pictures, J subjects, L tokens, h x w = P places of a grid, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from models.consistency.otsu import above_otsu
from models.consistency.processors import Around, word_maps
from models.consistency.unet_layout import busiest_depth, grid, layers_of


class SubjectMasks:
    """Averages a call's maps over layers and heads, and cuts them."""

    def __init__(self, unet: Any, weights_BLJ: Tensor) -> None:
        """
        Args:
            unet: whose layers are read, on a quarter of the latents' grid where it attends there.
            weights_BLJ: share of each token in each subject's words.
        """
        self._unet, self._weights_BLJ = unet, weights_BLJ
        cross = [layer for layer in layers_of(unet) if layer.cross]
        self._depth = busiest_depth(cross, 2)
        self._names = [layer.name for layer in cross if layer.depth == self._depth]
        self._sum_BPJ: Tensor | None = None
        self.rows: slice | None = None
        """Of the next call, those that count, one a picture; None if none does."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Layers read; everything back afterwards."""
        before = self._unet.attn_processors
        changed = {name: _Watched(before[name], self) for name in self._names}
        self._unet.set_attn_processor({**before, **changed})
        try:
            yield
        finally:
            self._unet.set_attn_processor(before)

    def taken(self, height: int, width: int) -> Tensor | None:
        """Masks of the call before on the latents' grid, bool (J, B, 1, H, W); None if it was not read.

        A subject that a prompt does not name is nowhere.
        """
        if self._sum_BPJ is None:
            return None
        map_BJhw = self._sum_BPJ.transpose(1, 2).unflatten(2, grid(self._depth, height, width))
        self._sum_BPJ = None
        resized_BJHW = F.interpolate(map_BJhw, (height, width), mode="bilinear", align_corners=False)
        mask_RP = above_otsu(resized_BJHW.flatten(0, 1).flatten(1))
        return mask_RP.view(resized_BJHW.shape).transpose(0, 1)[:, :, None]

    def see(self, attn: Any, hidden: Tensor, text: Tensor, mask: Tensor | None) -> None:
        """A layer's input, the text and its mask, of all rows."""
        if self.rows is None:
            return
        more = text.shape[1] - self._weights_BLJ.shape[1]
        weights_BLJ = F.pad(self._weights_BLJ, (0, 0, 0, more)).to(text.device)
        some = None if mask is None else mask[self.rows]
        map_BPJ = word_maps(attn, hidden[self.rows], text[self.rows], weights_BLJ, some)
        self._sum_BPJ = map_BPJ if self._sum_BPJ is None else self._sum_BPJ + map_BPJ


class _Watched(Around):
    def __init__(self, inner: Any, masks: SubjectMasks) -> None:
        super().__init__(inner)
        self._masks = masks

    def changed(
        self, attn: Any, hidden_BPC: Tensor, text_BLC: Any, mask: Tensor | None, output_BPC: Tensor
    ) -> Tensor:
        """See `Around`."""
        self._masks.see(attn, hidden_BPC, text_BLC, mask)
        return output_BPC
