# SPDX-License-Identifier: Apache-2.0
"""Blends what self-attention gives for corresponding patches (section 4.3, equation 6).

Shapes: B pictures, A remembered ones, P places, C channels.
"""

from typing import Literal

import torch
from torch import Tensor

from models.consistency.consistory.correspondence import Matches


def injected(
    output_BPC: Tensor,
    matches: Matches,
    share: float,
    order: Literal["simultaneous", "sequential"],
    remembered_APC: Tensor | None = None,
) -> Tensor:
    """The same with the share of its match in each injected patch; all other patches bit for bit.

    Args:
        output_BPC: after the output projection, before the residual.
        matches: picture numbers from B on are of remembered ones.
        share: of the match.
        order: whether pictures take what there was before, or in turn what is already blended.
        remembered_APC: the same of earlier pictures.
    """
    pool = output_BPC if remembered_APC is None else torch.cat([output_BPC, remembered_APC])
    if order == "simultaneous":
        return _blended(output_BPC, pool, matches, share)
    pool = pool.clone()
    for picture in range(len(output_BPC)):
        one = Matches(*(each[picture : picture + 1] for each in matches))
        pool[picture : picture + 1] = _blended(pool[picture : picture + 1], pool, one, share)
    return pool[: len(output_BPC)]


def _blended(output_BPC: Tensor, pool: Tensor, matches: Matches, share: float) -> Tensor:
    found_BPC = pool[matches.picture_BP, matches.place_BP]
    return torch.where(matches.injected_BP[..., None], torch.lerp(output_BPC, found_BPC, share), output_BPC)
