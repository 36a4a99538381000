# SPDX-License-Identifier: Apache-2.0
"""From prompts and references to what the UNet is told; the same in training and in use.

Shapes: B samples, K subjects, L tokens of a prompt, S tokens of the references, D their width, E width of a
picture's embedding, P patches, V their width, H, W latent cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.fusion import encoded
from models.subject_diffusion.location_map import location_map, without_location
from models.subject_diffusion.options import BoxCoordinates, Options
from models.subject_diffusion.template import Encoded, Template

if TYPE_CHECKING:
    from transformers import CLIPTextModel


@dataclass(frozen=True, slots=True)
class References:
    """Subjects as the model is given them."""

    cls_BKE: Tensor
    """Embeddings of their pictures."""
    patches_BKPV: Tensor
    box_BK4: Tensor
    """Where they are to be, xyxy in [0, 1]."""
    there_BK: Tensor
    """bool, whether there is such a subject; of one that is not nothing is read."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the UNet is told, made once a sample."""

    states_BLD: Tensor
    tokens_BSD: Tensor | None
    map_B1HW: Tensor | None


@dataclass(frozen=True, slots=True)
class Conditioner:
    """Makes conditions with a model's parts."""

    options: Options
    template: Template
    text_encoder: CLIPTextModel
    projector: nn.Module | None
    """From a picture's embedding to a word."""
    grounding: nn.Module | None
    """From patches and boxes to tokens."""
    empty_1L: Tensor
    """int64, of the empty prompt: made once, so that no step waits for it."""

    def __call__(
        self, prompts: Encoded, references: References, height: int, width: int, drop: Dropped | None = None
    ) -> Conditions:
        """What the UNet is told of a batch.

        Args:
            prompts: of the template.
            references: the subjects.
            height: of the latents.
            width: of the latents.
            drop: what each sample goes without; None for nothing.
        """
        there_BK = references.there_BK & prompts.there_BK
        return Conditions(
            self._states(prompts, references, there_BK, drop),
            self._tokens(references, there_BK, drop),
            self._map(references, there_BK, (height, width), drop),
        )

    def _states(
        self, prompts: Encoded, references: References, there_BK: Tensor, drop: Dropped | None
    ) -> Tensor:
        words_BKD = None
        if self.projector is not None:
            # Before the projector: what stands for an absent subject may be NaN, and so would its gradient.
            words_BKD = self.projector(torch.where(there_BK[..., None], references.cls_BKE, 0.0))
        states_BLD = encoded(self.text_encoder, prompts.ids_BL, words_BKD, prompts.place_BK, there_BK)
        if drop is None:
            return states_BLD
        return torch.where(drop.text[:, None, None], self.null_states(), states_BLD)

    def _tokens(self, references: References, there_BK: Tensor, drop: Dropped | None) -> Tensor | None:
        if self.grounding is None:
            return None
        seen_BK = there_BK if drop is None else there_BK & ~drop.subjects[:, None]
        patches_BKPV, box_BK4 = references.patches_BKPV, references.box_BK4
        tokens_BSD = self.grounding(patches_BKPV, box_BK4, seen_BK, self._boxed(seen_BK))
        if drop is None or not self.options.zero_tokens:
            return tokens_BSD
        return torch.where(drop.subjects[:, None, None], 0.0, tokens_BSD)

    def _map(
        self, references: References, there_BK: Tensor, size: tuple[int, int], drop: Dropped | None
    ) -> Tensor | None:
        if not self.options.location_control:
            return None
        map_B1HW = location_map(references.box_BK4, there_BK, *size)
        if drop is None:
            return map_B1HW
        return torch.where(drop.location[:, None, None, None], without_location(map_B1HW), map_B1HW)

    def null_states(self) -> Tensor:
        """Of the empty prompt, (1, L, D), by the same encoder."""
        return self.text_encoder(self.empty_1L).last_hidden_state

    def _boxed(self, there_BK: Tensor) -> Tensor:
        """Of which subjects the box is told, bool (B, K)."""
        if self.options.box_coordinates is None:
            return torch.zeros_like(there_BK)
        if self.options.box_coordinates == BoxCoordinates.multi_only:
            return there_BK & (there_BK.sum(1, keepdim=True) > 1)
        return there_BK
