# SPDX-License-Identifier: Apache-2.0
"""A subject's words are to look where the subject is: for what reads or steers a model by its attention.

Of two subjects the colour of one is less often given to the other, too.

Shapes: B samples, N heads, Q = H * W places of an attention map, L tokens, S subjects.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.subject_diffusion.localisation_loss import resized


def word_attention_loss(maps: Sequence[Tensor], owner_BL: Tensor, masks_BSHW: Tensor) -> Tensor:
    """How unlike the maps of words are to the masks of their subjects, a scalar in [0, 1].

    One less the cosine between the map of a word, its mean over heads, and the mask: the size of the
    probabilities plays no part, since texts differ in length; its least is an even map of just the mask.

    Args:
        maps: of each layer the probabilities (B, N, Q, L).
        owner_BL: int64, the number of the subject that a token speaks of, from 1 on; 0 of none.
        masks_BSHW: where subjects are, in [0, 1], at any size; an empty one does not count.
    """
    number_S = torch.arange(1, masks_BSHW.shape[1] + 1, device=owner_BL.device)
    counts_BLS = (owner_BL[..., None] == number_S) & (masks_BSHW.flatten(2).sum(-1) > 0)[:, None]
    masks = {places: resized(masks_BSHW, places) for places in {each.shape[2] for each in maps}}
    like_BLS = torch.stack([_like(each, masks[each.shape[2]]) for each in maps]).mean(0)
    return torch.where(counts_BLS, 1 - like_BLS, 0.0).sum() / counts_BLS.sum().clamp(min=1)


def _like(map_BNQL: Tensor, mask_BSQ: Tensor) -> Tensor:
    map_BQL = F.normalize(map_BNQL.float().mean(1), dim=1)
    return torch.einsum("bql,bsq->bls", map_BQL, F.normalize(mask_BSQ, dim=2))
