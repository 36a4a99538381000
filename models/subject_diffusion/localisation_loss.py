# SPDX-License-Identifier: Apache-2.0
"""The attention to a subject's words belongs inside of its mask.

Shapes: B samples, N heads, H = W grid of an attention map, T supervised tokens, Q = H * W places,
L tokens of the prompt.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.subject_diffusion.options import AttentionLoss

_EPSILON = 1e-5


def localisation_loss(
    maps: Sequence[Tensor], tokens_BT: Tensor, masks_BTHW: Tensor, told_BT: Tensor, kind: AttentionLoss
) -> Tensor:
    """Mean over layers, heads and samples of the loss of their tokens, a scalar.

    `balanced` is in [-1, 1]; `l1` (equation 2) in [0, 1].

    Args:
        maps: of each layer the probabilities (B, N, Q, L).
        tokens_BT: places of the supervised tokens in the prompt, int64.
        masks_BTHW: the mask that goes with each, in [0, 1], at any size.
        told_BT: bool, which of them count; an empty mask never does.
        kind: how a map is compared with its mask.
    """
    if kind == AttentionLoss.none or not maps or not told_BT.numel():
        return masks_BTHW.new_zeros(())
    told_BT = told_BT & (masks_BTHW.flatten(2).sum(-1) > 0)
    sizes = {map_BNQL.shape[2] for map_BNQL in maps}
    mask_BTQ = {places: resized(masks_BTHW, places) for places in sizes}
    return torch.stack(
        [_of_layer(each, tokens_BT, mask_BTQ[each.shape[2]], told_BT, kind) for each in maps]
    ).mean()


def _of_layer(
    map_BNQL: Tensor, tokens_BT: Tensor, mask_BTQ: Tensor, told_BT: Tensor, kind: AttentionLoss
) -> Tensor:
    heads, places = map_BNQL.shape[1:3]
    index = tokens_BT[:, None, None].expand(-1, heads, places, -1)
    map_BNTQ = map_BNQL.float().gather(3, index).transpose(2, 3)
    mask_BNTQ = mask_BTQ[:, None]
    compare = _balanced if kind == AttentionLoss.balanced else _distance
    told_BNT = told_BT[:, None].expand(-1, heads, -1)
    loss_BNT = torch.where(told_BNT, compare(map_BNTQ, mask_BNTQ), 0.0)
    return (loss_BNT.sum(-1) / told_BNT.sum(-1).clamp(min=1)).mean()


def _balanced(map_BNTQ: Tensor, mask_BNTQ: Tensor) -> Tensor:
    outside = (map_BNTQ * (1 - mask_BNTQ)).sum(-1) / ((1 - mask_BNTQ).sum(-1) + _EPSILON)
    inside = (map_BNTQ * mask_BNTQ).sum(-1) / (mask_BNTQ.sum(-1) + _EPSILON)
    return outside - inside


def _distance(map_BNTQ: Tensor, mask_BNTQ: Tensor) -> Tensor:
    return (map_BNTQ - mask_BNTQ).abs().mean(-1)


def resized(masks_BTHW: Tensor, places: int) -> Tensor:
    """Masks at the size of a square attention map, float32 (B, T, Q).

    Raises:
        ValueError: if the map is not square.
    """
    side = round(places**0.5)
    if side * side != places:
        raise ValueError(f"an attention map of {places} places is not square")
    masks_BTHW = masks_BTHW.float()
    small = F.interpolate(masks_BTHW, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return small.clamp(0, 1).flatten(2)
