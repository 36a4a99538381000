# SPDX-License-Identifier: Apache-2.0
"""A picture of what a model draws after a step, a row a sample: its references, the picture that they are
from, and new ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from models.subject_diffusion.finished import pipeline_of
from models.subject_diffusion.subject_encoder import squared
from pipeline.train.config import TrainConfig
from pipeline.train.example import Example
from pipeline.train.parallel import gathered
from pipeline.train.setup import Prepared
from pipeline.train.world import World

_SEEDS = (0, 1)


class SampleGrid:
    """Draws a grid after a step, see `loop.Event`; the averaged weights if there are any."""

    def __init__(self, config: TrainConfig, run: Path, prepared: Prepared, world: World) -> None:
        """
        Args:
            config: how many samples and denoising steps.
            run: gets `samples/step-....png`.
            prepared: what is trained.
            world: the processes; the first one draws.
        """
        self._config, self._folder, self._prepared = config, run / "samples", prepared
        self._world = world

    @torch.no_grad()
    def __call__(self, step: int) -> dict[str, Any]:
        """Nothing for the record."""
        training = self._prepared.training
        training.model.eval()
        with training.optimising.averaged(), gathered(training.model) as by_all:
            grid = self._grid() if by_all or self._world.first else None
        if grid is not None and self._world.first:
            self._folder.mkdir(parents=True, exist_ok=True)
            grid.save(self._folder / f"step-{step:08d}.png")
        self._world.wait()
        return {}

    def _grid(self) -> Image.Image:
        watching, prepared = self._config.watching, self._prepared
        examples = [prepared.validation[place].example for place in range(watching.sample_count)]
        pipeline = pipeline_of(prepared.model, prepared.base, prepared.tower, watching.guidance)
        rows = [self._row(pipeline, example) for example in examples]
        side = self._config.pixels
        grid = Image.new("RGB", (max(map(len, rows)) * side, len(rows) * side), "white")
        for y, row in enumerate(rows):
            for x, image in enumerate(row):
                grid.paste(image.resize((side, side)), (x * side, y * side))
        return grid

    def _row(self, pipeline: Any, example: Example) -> list[Image.Image]:
        references = [Image.fromarray(each) for each in example.reference_KRRC]
        drawn = pipeline(
            [example.caption] * len(_SEEDS),
            references,
            example.labels,
            example.box_K4.tolist(),
            num_inference_steps=self._config.watching.sample_steps,
            generator=[torch.Generator().manual_seed(seed) for seed in _SEEDS],
            height=self._config.pixels,
            width=self._config.pixels,
        ).images
        blank = [Image.new("RGB", (1, 1), "white")] * (self._config.model.max_subjects - len(references))
        shown = [squared(image, self._config.pixels) for image in (*references, *blank)]
        return [*shown, Image.fromarray(example.image_SSC), *drawn]
