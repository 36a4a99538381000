# SPDX-License-Identifier: Apache-2.0
"""Subject-Diffusion (Ma et al., arXiv 2307.11410): the parts together, and which of them are trained.

Shapes: B samples, K subjects, L tokens of a prompt, S tokens of the references, D their width, E width of a
picture's embedding, P patches, V their width, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.subject_diffusion.adapter import adapted, attending, trained_names
from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.fusion import ClsProjector, encoded, with_placeholder
from models.subject_diffusion.grounding_tokens import GroundingTokens
from models.subject_diffusion.location_map import location_map, without_location
from models.subject_diffusion.options import BoxCoordinates, Options
from models.subject_diffusion.subject_encoder import SubjectEncoder
from models.subject_diffusion.template import Encoded, Template

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer


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


class SubjectDiffusion(nn.Module):
    """UNet, text encoder, projector and token builder."""

    def __init__(
        self,
        unet: Any,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        subject_encoder: SubjectEncoder,
        options: Options,
    ) -> None:
        """
        Args:
            unet: the base's `UNet2DConditionModel`; it is copied.
            text_encoder: the base's; it becomes this model's.
            tokenizer: the base's; it gets the placeholder if it has no such word.
            subject_encoder: of the references; its shapes are needed, it is not kept.
            options: what is built and trained.
        """
        super().__init__()
        with_placeholder(tokenizer, text_encoder, options.placeholder)
        width = int(text_encoder.config.hidden_size)
        self.options = options
        self.template = Template(tokenizer, options)
        self.unet = adapted(unet, options)
        self.text_encoder = text_encoder
        self.projector = ClsProjector(subject_encoder.image_width, width) if options.cls_fusion else None
        shape = subject_encoder.patches, subject_encoder.patch_width
        self.grounding = GroundingTokens(*shape, width) if options.adapter else None
        self.reference_pixels = subject_encoder.pixels
        self._choose_what_trains()

    def _choose_what_trains(self) -> None:
        self.unet.requires_grad_(False)
        chosen = {*trained_names(self.unet)}
        for name, parameter in self.unet.named_parameters():
            fixed = name.startswith("conv_in.") and not self.options.location_control
            parameter.requires_grad_(name in chosen and not fixed)
        self.text_encoder.requires_grad_(self.options.train_text_encoder)

    def conditions(
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

    def forward(self, noisy_BCHW: Tensor, time_B: Tensor, told: Conditions) -> Tensor:
        """The UNet's prediction, (B, C, H, W)."""
        if told.map_B1HW is not None:
            noisy_BCHW = torch.cat([noisy_BCHW, told.map_B1HW.to(noisy_BCHW.dtype)], dim=1)
        return self.unet(noisy_BCHW, time_B, told.states_BLD, **attending(told.tokens_BSD)).sample

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
        return torch.where(drop.text[:, None, None], self.null_states(prompts.ids_BL.device), states_BLD)

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

    def null_states(self, device: torch.device) -> Tensor:
        """Of the empty prompt, (1, L, D), by the same encoder."""
        return self.text_encoder(self.template.encode([""], [[]]).ids_BL.to(device)).last_hidden_state

    def _boxed(self, there_BK: Tensor) -> Tensor:
        """Of which subjects the box is told, bool (B, K)."""
        if self.options.box_coordinates is None:
            return torch.zeros_like(there_BK)
        if self.options.box_coordinates == BoxCoordinates.multi_only:
            return there_BK & (there_BK.sum(1, keepdim=True) > 1)
        return there_BK
