# SPDX-License-Identifier: Apache-2.0
"""The pretrained parts that Subject-Diffusion begins with: a Stable Diffusion and a CLIP vision tower."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.backends.protocols import MissingWeights
from models.backends.weights import located, pretrained, pretrained_model

if TYPE_CHECKING:
    from models.subject_diffusion.features import FrozenFeatures
    from models.subject_diffusion.model import SubjectDiffusion
    from models.subject_diffusion.options import Options

_PARTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler")
_OTHERS = {"text_encoder_2", "transformer"}
"""Parts of other layouts."""


@dataclass(frozen=True, slots=True)
class Base:
    """A Stable Diffusion 1.x or 2.x pipeline's parts, in float32."""

    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any

    @property
    def latent_channels(self) -> int:
        """C."""
        return int(self.vae.config.latent_channels)

    @property
    def vae_scale(self) -> int:
        """Pixels of a latent cell's side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)


@dataclass(frozen=True, slots=True)
class Tower:
    """A CLIP vision tower and what its pictures are normalised with."""

    model: Any
    """A `CLIPVisionModelWithProjection`, in float32."""
    processor: Any
    """A `CLIPImageProcessor`."""


def load_base(model: str, revision: str | None = None) -> Base:
    """The parts of a diffusers folder.

    Raises:
        MissingWeights: if neither a folder nor the hub has it, or it is of another layout.
    """
    # Before what takes seconds to import.
    located(model)
    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging

    logging.disable_progress_bar()
    pipeline = pretrained(DiffusionPipeline, model, revision, dtype=torch.float32)
    there = pipeline.components.keys()
    if _OTHERS & there or not there >= {*_PARTS}:
        kind = type(pipeline).__name__
        raise MissingWeights(
            f"'{model}' is a {kind}; Subject-Diffusion begins with a StableDiffusionPipeline (1.x or 2.x)"
        )
    return Base(**{name: getattr(pipeline, name) for name in _PARTS})


def load_tower(model: str, revision: str | None = None) -> Tower:
    """A CLIP model's vision side.

    Raises:
        MissingWeights: if neither a folder nor the hub has it, or it lacks a part.
    """
    located(model)
    import torch
    from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

    tower = pretrained_model(CLIPVisionModelWithProjection, model, revision, torch.float32)
    return Tower(tower, pretrained(CLIPImageProcessorPil, model, revision))


def assembled(base: Base, tower: Tower, options: Options) -> tuple[SubjectDiffusion, FrozenFeatures]:
    """What is trained, and what is frozen beside it; both have the same subject encoder.

    New parts are drawn from torch's global generator.
    """
    from models.subject_diffusion.features import FrozenFeatures
    from models.subject_diffusion.model import SubjectDiffusion
    from models.subject_diffusion.subject_encoder import Normalise, SubjectEncoder

    encoder = SubjectEncoder(tower.model)
    model = SubjectDiffusion(base.unet, base.text_encoder, base.tokenizer, encoder, options)
    normalise = Normalise(tower.processor.image_mean, tower.processor.image_std)
    return model, FrozenFeatures(base.vae, encoder, normalise)
