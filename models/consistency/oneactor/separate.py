# SPDX-License-Identifier: Apache-2.0
"""Subjects that were learnt apart in one picture: each one's offset acts where that subject is (section 4.5).

The paper does not say how the masks are used. Here every subject is predicted with its own offset alone, and
the predictions are composed by the masks; where no subject is, the prompt's own prediction stays.

Shapes: B pictures, J subjects, R = G * B rows of a call with G halves, L tokens, T tokens of all words,
D width of a text's state, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.consistency.call_rows import with_rows
from models.consistency.offsets import word_sizes
from models.consistency.oneactor.guidance import Guidance
from models.consistency.oneactor.subject_masks import SubjectMasks


@dataclass(kw_only=True)
class Separate(Guidance):
    """Guides to each subject in its place; in the first call, where no place is known, to all everywhere."""

    subject_T: Tensor
    """int64: whose word each offset is for."""
    masks: SubjectMasks = field(init=False)

    def __post_init__(self) -> None:
        """Say which tokens are whose."""
        super().__post_init__()
        self.subjects = int(self.subject_T.max()) + 1
        self.masks = SubjectMasks(self.pipe.unet, self._weights())

    def guided(
        self,
        forward: Callable[..., Any],
        sample: Tensor,
        timestep: Any,
        states: Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        """See `Guidance.guided`."""
        masks_JB1HW = self.masks.taken(*sample.shape[-2:])
        last = slice(len(sample) - self.pictures, len(sample))
        self.masks.rows = last
        try:
            if masks_JB1HW is None:
                return super().guided(forward, sample, timestep, states, *more, **named)
            excludes = self.excludes(sample)
            offsets = self._offsets(self.options.strength * self.target_TD)
            offsets += self._offsets(self.average_TD) if excludes else []
            several = len(offsets)
            all_states = torch.cat([states, *(self.offset(states, each)[last] for each in offsets)])
            rows = len(sample)
            again = with_rows(named, rows, lambda each: torch.cat([each, *[each[last]] * several]))
            samples = torch.cat([sample, *[sample[last]] * several])
            self.rows += len(samples)
            predicted = forward(samples, timestep, all_states, *more, **again)[0]
        finally:
            self.masks.rows = None
        parts = predicted[rows:].chunk(several)
        own, share_JB1HW = predicted[last], _shares(masks_JB1HW).to(predicted.dtype)
        target = composed(own, parts[: self.subjects], share_JB1HW)
        if excludes:
            others = composed(own, parts[self.subjects :], share_JB1HW)
            return (self.composed(predicted[: self.pictures], target, others),)
        return (torch.cat([predicted[: last.start], target]),)

    def _offsets(self, offset_TD: Tensor) -> list[Tensor]:
        """For each subject those of its own words alone."""
        mine_JT = [self.subject_T.to(offset_TD.device) == subject for subject in range(self.subjects)]
        return [offset_TD * mine_T[:, None] for mine_T in mine_JT]

    def _weights(self) -> Tensor:
        """The mean over the tokens of each subject's words, float32 (B, L, J)."""
        places, length = self.places, self.pipe.tokenizer.model_max_length
        whose = self.subject_T.to(places.offset.device)[places.offset]
        count_BLJ = torch.zeros(self.pictures, length, self.subjects, device=whose.device)
        count_BLJ[places.row, places.token, whose] = 1.0
        return count_BLJ / count_BLJ.sum(1, keepdim=True).clamp(min=1)


def composed(own_BCHW: Tensor, parts: Sequence[Tensor], share_JB1HW: Tensor) -> Tensor:
    """Each subject's prediction by its share of a place; the prompt's own for the rest."""
    result = own_BCHW
    for part_BCHW, share_B1HW in zip(parts, share_JB1HW, strict=True):
        result = result + share_B1HW * (part_BCHW - own_BCHW)
    return result


def _shares(masks_JB1HW: Tensor) -> Tensor:
    """Subjects that overlap have equal shares."""
    return masks_JB1HW / masks_JB1HW.sum(0).clamp(min=1)


def subjects_of(tokenizer: Any, words: Sequence[Sequence[str]]) -> Tensor:
    """Whose each token is, int64 (T,), of the words of each subject one after the other."""
    sizes = [sum(word_sizes(tokenizer, some)) for some in words]
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
