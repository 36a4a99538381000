# SPDX-License-Identifier: Apache-2.0
"""A trained model as a diffusers pipeline in memory, sharing its parts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from models.subject_diffusion.base import Base, Tower
from models.subject_diffusion.model import SubjectDiffusion
from models.subject_diffusion.options import USUAL_GUIDANCE
from models.subject_diffusion.subject_modules import SubjectModules
from models.subject_diffusion.subject_pipeline import SubjectDiffusionPipeline


def pipeline_of(
    model: SubjectDiffusion, base: Base, tower: Tower, guidance: Sequence[float] = USUAL_GUIDANCE
) -> SubjectDiffusionPipeline:
    """The pipeline of a model as it is now; it draws with what the model becomes, too.

    Args:
        model: trained, or being trained.
        base: gives the autoencoder, the tokenizer and the scheduler.
        tower: the subject encoder.
        guidance: the usual one, by the text and by the references.
    """
    text_scale, image_scale = guidance
    vision = tower.model.config
    subjects: Any = SubjectModules(
        # As JSON has it, which is how it comes back from disk.
        options=json.loads(json.dumps(dataclasses.asdict(model.options))),
        patches=(vision.image_size // vision.patch_size) ** 2,
        patch_width=vision.hidden_size,
        image_width=vision.projection_dim,
        text_width=model.text_encoder.config.hidden_size,
    )
    subjects.projector, subjects.grounding = model.projector, model.grounding
    pipeline = SubjectDiffusionPipeline(
        vae=base.vae,
        text_encoder=model.text_encoder,
        tokenizer=base.tokenizer,
        unet=model.unet,
        scheduler=base.scheduler,
        image_encoder=tower.model,
        feature_extractor=tower.processor,
        subjects=subjects,
        text_scale=text_scale,
        image_scale=image_scale,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
