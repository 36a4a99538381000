# SPDX-License-Identifier: Apache-2.0
"""The parts that make words and tokens of references, as one component of a diffusers pipeline."""

from __future__ import annotations

from typing import Any

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from models.subject_diffusion.fusion import ClsProjector
from models.subject_diffusion.grounding_tokens import GroundingTokens


class SubjectModules(ModelMixin, ConfigMixin):
    """Projector and token builder, and the choices that the weights fit."""

    @register_to_config
    def __init__(
        self, options: dict[str, Any], patches: int, patch_width: int, image_width: int, text_width: int
    ) -> None:
        """
        Args:
            options: see `Options`, as plain data.
            patches: of a reference.
            patch_width: of the subject encoder's patches.
            image_width: of its embeddings.
            text_width: of the text encoder's states.
        """
        super().__init__()
        with_text, with_adapter = options["cls_fusion"], options["adapter"]
        self.projector: nn.Module | None = ClsProjector(image_width, text_width) if with_text else None
        self.grounding: nn.Module | None = (
            GroundingTokens(patches, patch_width, text_width) if with_adapter else None
        )
