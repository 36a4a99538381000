# SPDX-License-Identifier: Apache-2.0
"""Subject-Diffusion (Ma et al., arXiv 2307.11410): the parts together, and which of them are trained.

Shapes: B samples, C latent channels, H, W latent cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from models.subject_diffusion.adapter import adapted, trained_names
from models.subject_diffusion.condition_drop import Dropped
from models.subject_diffusion.conditions import Conditioner, Conditions, References
from models.subject_diffusion.fusion import ClsProjector, with_placeholder
from models.subject_diffusion.grounding_tokens import GroundingTokens
from models.subject_diffusion.options import Options
from models.subject_diffusion.predicting import predicted
from models.subject_diffusion.subject_encoder import SubjectEncoder
from models.subject_diffusion.template import Encoded, Template

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer


class SubjectDiffusion(nn.Module):
    """UNet, text encoder, projector and token builder."""

    empty_1L: Tensor

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
        self.register_buffer("empty_1L", self.template.encode([""], [[]]).ids_BL, persistent=False)
        self._choose_what_trains()

    def _choose_what_trains(self) -> None:
        self.unet.requires_grad_(False)
        chosen = {*trained_names(self.unet)}
        for name, parameter in self.unet.named_parameters():
            fixed = name.startswith("conv_in.") and not self.options.location_control
            parameter.requires_grad_(name in chosen and not fixed)
        self.text_encoder.requires_grad_(self.options.train_text_encoder)

    @property
    def conditioner(self) -> Conditioner:
        """Makes what the UNet is told."""
        parts = self.text_encoder, self.projector, self.grounding
        return Conditioner(self.options, self.template, *parts, self.empty_1L)

    def conditions(
        self, prompts: Encoded, references: References, height: int, width: int, drop: Dropped | None = None
    ) -> Conditions:
        """What the UNet is told of a batch, see `Conditioner`."""
        return self.conditioner(prompts, references, height, width, drop)

    def forward(self, noisy_BCHW: Tensor, time_B: Tensor, told: Conditions) -> Tensor:
        """The UNet's prediction, (B, C, H, W)."""
        return predicted(self.unet, noisy_BCHW, time_B, told)
