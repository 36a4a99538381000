# SPDX-License-Identifier: Apache-2.0
"""Where a noun's cross-attention is, against where the judge sees the subject.

Shapes: B pictures (twice with guidance), N heads, Q = 16 x 16 places, L tokens, H = W = 16 cells.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from skimage.filters import threshold_otsu
from torch import Tensor

from models.miniature.judge import Reading
from models.miniature.world import Prompt
from models.subject_diffusion.capture import PlainAttention

_CELLS = 16


class _Recorder(PlainAttention):
    """Adds up the probabilities of all steps."""

    def __init__(self) -> None:
        self.total_BQL: Tensor | None = None

    def see(self, map_BNQL: Tensor) -> None:
        mean_BQL = map_BNQL.mean(1)
        self.total_BQL = mean_BQL if self.total_BQL is None else self.total_BQL + mean_BQL


@contextmanager
def recorded(unet: Any) -> Iterator[list[_Recorder]]:
    """Record the cross-attention of the up blocks that work on 16 x 16 cells; the UNet is left as it was."""
    before = unet.attn_processors
    last = f"up_blocks.{len(unet.up_blocks) - 1}."
    recorders = {name: _Recorder() for name in before if name.startswith(last) and ".attn2." in name}
    unet.set_attn_processor({**before, **recorders})
    try:
        yield list(recorders.values())
    finally:
        unet.set_attn_processor(before)


def noun_maps(recorders: Sequence[_Recorder], tokens: Sequence[int]) -> Tensor:
    """The mean attention that a token gets, by picture, (B, H, W); the conditional half of a guided batch.

    Args:
        recorders: after sampling.
        tokens: for each picture the token's place in its prompt.
    """
    totals = [recorder.total_BQL for recorder in recorders if recorder.total_BQL is not None]
    mean_BQL = torch.stack(totals).mean(0)[-len(tokens) :]
    maps_BQ = mean_BQL[torch.arange(len(tokens)), :, torch.tensor(tokens)]
    return maps_BQ.unflatten(1, (_CELLS, _CELLS))


def token_place(tokenizer: Any, prompt: Prompt, noun: str) -> int:
    """Where a noun stands among the tokens of its prompt."""
    return tokenizer(prompt.text).input_ids.index(tokenizer.convert_tokens_to_ids(f"{noun}</w>"))


def overlap(map_HW: Tensor, reading: Reading, noun: str) -> float | None:
    """IoU of a map, cut by Otsu's threshold, with the subject's mask; None if the judge sees none."""
    masks = [seen.mask for seen in reading.subjects if seen.identity.noun == noun]
    if not masks:
        return None
    mask = F.adaptive_avg_pool2d(torch.from_numpy(masks[0]).float()[None], _CELLS)[0].numpy() >= 0.5
    values = map_HW.numpy()
    marked = values > threshold_otsu(values)
    return float(np.sum(marked & mask) / max(1, np.sum(marked | mask)))
