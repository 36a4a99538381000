# SPDX-License-Identifier: Apache-2.0
"""Pictures of given subjects with an exported Subject-Diffusion folder; none of the folder's code is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.backends.protocols import MissingWeights
from models.backends.runtime import Runtime
from models.backends.weights import located, pretrained
from models.subject_diffusion.trained_alone import is_trained_alone, with_base

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from models.subject_diffusion.placing import Box
    from models.subject_diffusion.subject_pipeline import SubjectDiffusionPipeline


@dataclass(frozen=True, kw_only=True)
class SubjectsToImage(Runtime):
    """A Subject-Diffusion model and how it samples."""

    model: str = "miniature:subject_diffusion"
    steps: int = 30
    text_guidance: float | None = None
    """The model's usual one if not given."""
    image_guidance: float | None = None
    """By the references, likewise."""
    alpha: float = 0.0
    """Share of the steps, from the end, that are drawn from the plain prompt."""
    base: str | None = None
    """A Stable Diffusion that draws those; the model itself if not given."""
    batch_size: int = 8
    size: int | None = None
    """Pixels of a side; the model's own if not given."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if a value makes no sense.
        """
        Runtime.__post_init__(self)
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; it must be in [0, 1]")
        if self.size is not None and self.size % 8:
            raise ValueError(f"size is {self.size}; it must be a multiple of 8")

    def load(self) -> Drawing:
        """The model on its device, and the base if one is given.

        Raises:
            MissingWeights: if neither a folder nor the hub has them, or they are of another model.
            MissingDevice: if there is no such GPU here.
        """
        for model in filter(None, (self.model, self.base)):
            located(model)
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging

        logging.disable_progress_bar()
        device, dtype = self.place()
        pipeline = load_pipeline(self.model, self.revision, dtype).to(device)
        pipeline.set_progress_bar_config(disable=True)
        if self.base is None:
            return Drawing(self, pipeline, None)
        return Drawing(self, pipeline, pretrained(DiffusionPipeline, self.base, None, dtype=dtype).to(device))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A model that is ready to draw."""

    how: SubjectsToImage
    pipeline: Any
    base: Any

    @property
    def guidance(self) -> dict[str, float]:
        """As it is used."""
        how, usual = self.how, self.pipeline.config
        asked = {
            "text_guidance": (how.text_guidance, usual["text_scale"]),
            "image_guidance": (how.image_guidance, usual["image_scale"]),
        }
        return {name: own if given is None else given for name, (given, own) in asked.items()}

    @property
    def device(self) -> str:
        """That it draws on."""
        return str(self.pipeline.device)

    def unread(self, prompt: str, labels: Sequence[str]) -> int:
        """See `Template.unread`."""
        from models.subject_diffusion.template import Template

        return Template(self.pipeline.tokenizer, self.pipeline.options).unread(prompt, labels)

    def generate(
        self,
        prompts: Sequence[str],
        references: Sequence[Sequence[Image.Image]],
        labels: Sequence[Sequence[str]],
        boxes: Sequence[Sequence[Box]] | None,
        seeds: Sequence[int],
    ) -> Iterator[Image.Image]:
        """One RGB picture for each prompt and its seed, in order, made in batches.

        Raises:
            ValueError: see `SubjectDiffusionPipeline`.
        """
        import torch

        how = self.how
        for start in range(0, len(prompts), how.batch_size):
            some = slice(start, start + how.batch_size)
            yield from self.pipeline(
                prompts[some],
                references[some],
                labels[some],
                None if boxes is None else boxes[some],
                num_inference_steps=how.steps,
                text_scale=how.text_guidance,
                image_scale=how.image_guidance,
                alpha=how.alpha,
                base=self.base,
                height=how.size,
                width=how.size,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds[some]],
            ).images


def load_pipeline(model: str, revision: str | None, dtype: torch.dtype) -> SubjectDiffusionPipeline:
    """An exported folder, or its trained weights alone, with this package's own code.

    Raises:
        MissingWeights: if neither a folder nor the hub has it, or it is of another model.
    """
    if is_trained_alone(place := Path(located(model))):
        return with_base(place, dtype)
    import diffusers
    from diffusers import AutoencoderKL, DDPMScheduler
    from transformers import CLIPImageProcessorPil, CLIPTextModel, CLIPTokenizer
    from transformers import CLIPVisionModelWithProjection as Tower

    from models.subject_diffusion.subject_modules import SubjectModules
    from models.subject_diffusion.subject_pipeline import SubjectDiffusionPipeline
    from models.subject_diffusion.subject_unet import SubjectUNet

    classes: dict[str, Any] = {
        "subjects": SubjectModules,
        "unet": SubjectUNet,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "image_encoder": Tower,
    }
    parts = {
        name: pretrained(loader, model, revision, subfolder=name, dtype=dtype).eval()
        for name, loader in classes.items()
    }
    parts["tokenizer"] = pretrained(CLIPTokenizer, model, revision, subfolder="tokenizer")
    extractor = {"subfolder": "feature_extractor"}
    parts["feature_extractor"] = pretrained(CLIPImageProcessorPil, model, revision, **extractor)
    config: Any = DDPMScheduler.load_config(located(model), revision=revision, subfolder="scheduler")
    try:
        scheduler: Any = getattr(diffusers, config["_class_name"])
    except (AttributeError, KeyError, TypeError) as error:
        raise MissingWeights(f"'{model}' has no scheduler that diffusers knows") from error
    parts["scheduler"] = scheduler.from_config(config)
    index: Any = SubjectDiffusionPipeline.load_config(located(model), revision=revision)
    usual = {name: index[name] for name in ("text_scale", "image_scale") if name in index}
    return SubjectDiffusionPipeline(**parts, **usual)
