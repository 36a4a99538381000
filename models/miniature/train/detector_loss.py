# SPDX-License-Identifier: Apache-2.0
"""Losses that train Grounding DINO from scratch.

They differ from those in transformers, which are meant for fine-tuning, in two ways: the encoder's
proposals are trained too, and every image of a batch may have a prompt of its own.

Shapes: B images, Q queries or encoder cells, T text tokens, K layers; boxes are cxcywh in [0, 1].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from transformers.image_transforms import center_to_corners_format
from transformers.loss.loss_for_object_detection import generalized_box_iou

from models.miniature.train.loop import Losses


@dataclass(frozen=True, slots=True)
class Target:
    """What one image holds."""

    tokens_NT: Tensor
    """float: 1 at the tokens of each object's phrase."""
    box_N4: Tensor


def set_losses(logits_BQT: Tensor, box_BQ4: Tensor, targets: list[Target], text_BT: Tensor) -> Losses:
    """One-to-one losses as in DETR: each object is the business of exactly one query."""
    rows, columns, wanted = [], [], []
    for image, target in enumerate(targets):
        query, item = _match(logits_BQT[image].detach(), box_BQ4[image].detach(), target)
        rows += [image] * len(query)
        columns += query.tolist()
        wanted.append(item)
    positive_BQT = torch.zeros_like(logits_BQT)
    positive_BQT[rows, columns] = torch.cat([t.tokens_NT[i] for t, i in zip(targets, wanted, strict=True)])
    goal_N4 = torch.cat([t.box_N4[i] for t, i in zip(targets, wanted, strict=True)])
    return {
        "class": 2 * focal(logits_BQT, positive_BQT, text_BT, len(goal_N4)),
        **box_losses(box_BQ4[rows, columns], goal_N4),
    }


def dense_losses(
    logits_BQT: Tensor, box_BQ4: Tensor, centre_Q2: Tensor, targets: list[Target], text_BT: Tensor
) -> Losses:
    """One-to-many losses: every cell near the middle of an object is to find it."""
    positive_BQT = torch.zeros_like(logits_BQT)
    found, goals = [], []
    for image, target in enumerate(targets):
        offset_NQ2 = (centre_Q2 - target.box_N4[:, None, :2]).abs() / target.box_N4[:, None, 2:]
        item, cell = (offset_NQ2.amax(-1) < 0.2).nonzero(as_tuple=True)
        positive_BQT[image, cell] = target.tokens_NT[item]
        found.append(box_BQ4[image, cell])
        goals.append(target.box_N4[item])
    goal_N4 = torch.cat(goals)
    return {
        "class": 2 * focal(logits_BQT, positive_BQT, text_BT, max(1, len(goal_N4))),
        **box_losses(torch.cat(found), goal_N4),
    }


def focal(logits_BQT: Tensor, positive_BQT: Tensor, text_BT: Tensor, count: int) -> Tensor:
    """Sigmoid focal loss (alpha .25, gamma 2) over the real text tokens, per object."""
    keep = text_BT[:, None].expand_as(logits_BQT)
    logits, positive = logits_BQT[keep], positive_BQT[keep]
    plain = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    wrong = torch.where(positive > 0, 1 - logits.sigmoid(), logits.sigmoid())
    weight = torch.where(positive > 0, 0.25, 0.75)
    return (weight * plain * wrong**2).sum() / count


def box_losses(box_N4: Tensor, goal_N4: Tensor) -> Losses:
    """L1 and generalised IoU, weighted 5 and 2."""
    if not len(goal_N4):
        return {"l1": box_N4.sum() * 0, "giou": box_N4.sum() * 0}
    overlap = generalized_box_iou(_corners(box_N4), _corners(goal_N4))
    return {
        "l1": 5 * F.l1_loss(box_N4, goal_N4, reduction="sum") / len(goal_N4),
        "giou": 2 * (1 - overlap.diagonal()).mean(),
    }


@torch.no_grad()
def _match(logits_QT: Tensor, box_Q4: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """The assignment of objects to queries that costs least, as in DETR."""
    share_NT = target.tokens_NT / target.tokens_NT.sum(-1, keepdim=True)
    p_QT = logits_QT.clamp(min=-30).sigmoid()
    likes = 0.25 * (1 - p_QT) ** 2 * -(p_QT + 1e-8).log()
    dislikes = 0.75 * p_QT**2 * -(1 - p_QT + 1e-8).log()
    cost = 2 * (likes - dislikes) @ share_NT.T + 5 * torch.cdist(box_Q4, target.box_N4, p=1)
    cost -= 2 * generalized_box_iou(_corners(box_Q4), _corners(target.box_N4))
    query, item = linear_sum_assignment(cost.nan_to_num(1e6).numpy())
    return torch.from_numpy(query), torch.from_numpy(item)


def _corners(box_N4: Tensor) -> Tensor:
    return center_to_corners_format(box_N4)  # pyright: ignore[reportArgumentType, reportReturnType]
