# SPDX-License-Identifier: Apache-2.0
"""What `generate` was asked for, and who does it: with references Subject-Diffusion, without any pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.generation import TextToImage
from models.subject_diffusion.placing import Box, random_box, usual_boxes
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.draw_subjects import Places

RANDOM = "random"
_COUNT = 8
"""Pictures of a prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """The options of the command, see its help; None for what the model usually has."""

    prompt: str
    count: int | None
    output: Path
    model: str | None
    revision: str | None
    references: tuple[str, ...]
    boxes: tuple[str, ...]
    seed: int
    steps: int
    guidance: float | None
    image_guidance: float | None
    alpha: float
    base: str | None
    builder: Path | None
    negative: str | None
    size: int | None
    device: str
    threads: int
    method: str | None = None
    subjects: tuple[str, ...] = ()
    prompts: Path | None = None
    seeds: str | None = None
    states: tuple[Path, ...] = ()
    strengths: tuple[float, ...] = ()
    layout: Path | None = None
    overrides: tuple[str, ...] = ()
    masks: bool = False

    @property
    def common(self) -> dict[str, Any]:
        """What every sampler takes."""
        given = {"model": self.model, "size": self.size, "revision": self.revision}
        chosen = {name: value for name, value in given.items() if value is not None}
        return {"steps": self.steps, "device": self.device, "threads": self.threads, **chosen}


def generate_lines(request: GenerateRequest) -> Iterator[str]:
    """Draw, and tell of each picture.

    Raises:
        UserError: options that make no sense together, bad input, or no such weights or device.
    """
    if request.method is not None:
        from pipeline.consistency.asked import method_lines

        return method_lines(request)
    _refuse_methods(request)
    if not request.prompt.strip():
        raise UserError("--prompt is missing; say what to draw")
    return _with_subjects(request) if request.references else _of_text(request)


def _refuse_methods(request: GenerateRequest) -> None:
    given = {
        "--subject": request.subjects,
        "--prompts": request.prompts,
        "--seeds": request.seeds,
        "--state": request.states,
        "--strength": request.strengths,
        "--layout": request.layout,
        "--set": request.overrides,
        "--masks": request.masks,
    }
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise UserError(f"{wrong[0]} is about methods; give --method as well, or leave it out")


def _of_text(request: GenerateRequest) -> Iterator[str]:
    from pipeline.generate_command import generate_pictures

    _refuse_with(request, {"--box": request.boxes, "--base": request.base, "--builder": request.builder})
    guidance: dict[str, Any] = {} if request.guidance is None else {"guidance": request.guidance}
    try:
        sampler = TextToImage(**request.common, **guidance)
    except ValueError as error:
        raise UserError(f"--{error}") from error
    return generate_pictures(
        sampler, request.prompt, request.count or _COUNT, request.seed, request.negative, request.output
    )


def _refuse_with(request: GenerateRequest, given: Mapping[str, Any]) -> None:
    wrong = [name for name, value in given.items() if value] + (["--alpha"] if request.alpha else [])
    if wrong:
        raise UserError(f"{wrong[0]} is about references; give --reference as well, or leave it out")


def _with_subjects(request: GenerateRequest) -> Iterator[str]:
    from models.subject_diffusion.drawing import SubjectsToImage
    from pipeline.config import load_config
    from pipeline.cut_out import CuttingOut, usual_stages
    from pipeline.draw_subjects import draw_subjects

    if request.negative is not None:
        raise UserError("--negative does not go with --reference; leave one of them out")
    guidance: dict[str, Any] = {} if request.guidance is None else {"text_guidance": request.guidance}
    try:
        sampler = SubjectsToImage(
            image_guidance=request.image_guidance,
            alpha=request.alpha,
            base=request.base,
            **request.common,
            **guidance,
        )
    except ValueError as error:
        raise UserError(f"--{error}") from error
    stages = load_config(request.builder).stages if request.builder else usual_stages(sampler.model)
    return draw_subjects(
        sampler,
        CuttingOut(stages),
        request.references,
        _places(request),
        request.prompt,
        range(request.seed, request.seed + (request.count or _COUNT)),
        request.output,
    )


def _places(request: GenerateRequest) -> Places:
    """Where the subjects of each picture are to be: as given, drawn by its seed, or in the usual places."""
    if request.boxes == (RANDOM,):
        if len(request.references) > 1:
            raise UserError(f"--box {RANDOM} is for one subject; give a box for each of them, or none")
        return lambda seed: [random_box(np.random.default_rng(seed))]
    boxes = [_box(text) for text in request.boxes] or usual_boxes(len(request.references))
    return lambda _seed: boxes


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--box {text}: expected random, or four numbers such as 0.1,0.2,0.6,0.9") from error
    return x0, y0, x1, y1
