# SPDX-License-Identifier: Apache-2.0
"""Pictures from prompts with any diffusers text-to-image folder; image k of a seed is the same in any batch.

Shapes: B images, C latent channels, H = W latent cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Interval

from models.backends.bounds import Count
from models.backends.runtime import Runtime
from models.backends.weights import located, pretrained

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, kw_only=True)
class TextToImage(Runtime):
    """A text-to-image pipeline and how it samples."""

    model: str = "miniature:text2image"
    steps: Count = 30
    guidance: Annotated[float, Interval(ge=0, le=1000)] = 5.0
    batch_size: Count = 8
    size: Count | None = None
    """Pixels of a side; the model's own if not given."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if `device` is not the name of one, or `size` is none that an autoencoder can have.
        """
        Runtime.__post_init__(self)
        if self.size is not None and self.size % 8:
            raise ValueError(f"size is {self.size}; it must be a multiple of 8")

    def load(self) -> Any:
        """The diffusers pipeline on its device, without bars.

        Raises:
            MissingWeights: if neither a folder nor the hub has it.
            MissingDevice: if there is no such GPU here.
        """
        # Before what takes seconds to import.
        located(self.model)
        from diffusers import DiffusionPipeline
        from diffusers.utils import logging

        logging.disable_progress_bar()
        device, dtype = self.place()
        pipeline = pretrained(DiffusionPipeline, self.model, self.revision, dtype=dtype).to(device)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def generate(
        self, pipeline: Any, prompts: Sequence[str], seeds: Sequence[int], negative: str | None = None
    ) -> Iterator[Image.Image]:
        """One RGB picture for each prompt and its seed, in order, made in batches."""
        import torch

        side = {} if self.size is None else {"height": self.size, "width": self.size}
        for start in range(0, len(prompts), self.batch_size):
            some = [*prompts[start : start + self.batch_size]]
            generators = [
                torch.Generator().manual_seed(seed) for seed in seeds[start : start + self.batch_size]
            ]
            yield from pipeline(
                some,
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                generator=generators,
                negative_prompt=None if negative is None else [negative] * len(some),
                **side,
            ).images
