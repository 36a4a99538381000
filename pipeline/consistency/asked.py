# SPDX-License-Identifier: Apache-2.0
"""From the options of `generate` to sets of pictures by a method."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

from models.consistency.registry import METHODS
from models.subject_diffusion.drawing import SubjectsToImage
from pipeline.consistency.draw import Sets, draw_sets
from pipeline.consistency.layout_file import given_layout
from pipeline.consistency.request import MethodRequest, read_pictures, read_prompts, sampler_of
from pipeline.errors import UserError
from pipeline.wording import counted

if TYPE_CHECKING:
    from PIL import Image

    from pipeline.generate_request import GenerateRequest


_MOST = 2**48
"""Seed of a set; its pictures' are larger."""


def method_lines(request: GenerateRequest) -> Iterator[str]:
    """Draw, and tell of each picture.

    Raises:
        UserError: options that make no sense together, bad input, or no such weights or device.
    """
    _refuse(request)
    named = METHODS.get(request.method or "")
    usual = {"model": SubjectsToImage.model} if named is not None and named.cut_out else {}
    sampler = sampler_of(**{**usual, **request.common, "guidance": request.guidance})
    asked = MethodRequest(
        method=request.method or "",
        subjects=request.subjects,
        overrides=request.overrides,
        sampler=sampler,
        negative=request.negative,
    )
    prompts = read_prompts(request.prompts) if request.prompts else [request.prompt] * bool(request.prompt)
    if not prompts:
        raise UserError("--prompts is missing; give a file with a prompt a line")
    pictures = _cut_outs(asked, request) if asked.entry.cut_out else read_pictures(request.references)
    sets = Sets(
        prompts=prompts,
        seeds=_seeds(request),
        states=request.states,
        pictures=pictures,
        more=_more(asked, request) | _strengths(asked, request),
        folder=request.output,
        masks=request.masks,
        given=_given(request),
    )
    return draw_sets(asked, sets)


def _refuse(request: GenerateRequest) -> None:
    """Options that a method would not look at."""
    named = METHODS.get(request.method or "")
    cut_out = named is not None and named.cut_out
    takes_pictures = named is None or cut_out or request.method == "ip-adapter"
    given = {
        "--n": (request.count is not None, "a set has a picture for each prompt; give --seeds for more"),
        "--image-guidance": (request.image_guidance is not None, "give --set image_guidance=..."),
        "--alpha": (bool(request.alpha), "give --set alpha=..."),
        "--base": (request.base is not None, "leave it out"),
        "--builder": (request.builder is not None and not cut_out, "leave it out"),
        "--prompt": (bool(request.prompt and request.prompts), "--prompts is given as well"),
        "--reference": (bool(request.references) and not takes_pictures, "give it to `tune`"),
        "--seed": (bool(request.seed and request.seeds is not None), "--seeds is given as well"),
    }
    if request.method == "ip-adapter" and len(request.references) > 1:
        raise UserError("--reference is given several times; ip-adapter takes one picture")
    for name, (wrong, instead) in given.items():
        if wrong:
            raise UserError(f"{name} does not go with --method {request.method}: {instead}")


def _given(request: GenerateRequest) -> dict[str, Any]:
    """What only some sets are drawn with, as plain data."""
    return {
        "references": [*request.references],
        "boxes": [*request.boxes],
        "layout": None if request.layout is None else str(request.layout),
        "builder": None if request.builder is None else str(request.builder),
        "strengths": [*request.strengths],
    }


def _cut_outs(asked: MethodRequest, request: GenerateRequest) -> list[Image.Image]:
    """Of the references, by the builder's models: each shows the subject of its place."""
    from pipeline.config import load_config
    from pipeline.cut_out import CuttingOut, usual_stages

    if len(request.references) != len(asked.words):
        raise UserError(
            f"{counted(len(request.references), '--reference')} for {counted(len(asked.words), 'subject')}; "
            f"{asked.method} takes one of each, in their order"
        )
    stages = load_config(request.builder).stages if request.builder else usual_stages(asked.sampler.model)
    cutting = CuttingOut(stages)
    named = zip(request.references, asked.words, strict=True)
    return [cutting(f"{path}:{word}").picture for path, word in named]


def _more(asked: MethodRequest, request: GenerateRequest) -> dict[str, Any]:
    if asked.entry.cut_out and request.layout is None:
        boxes = [_numbers(box) for box in request.boxes]
        return {"boxes": [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes]} if boxes else {}
    layout = given_layout(request.layout, [_numbers(box) for box in request.boxes])
    if layout is None:
        return {}
    if asked.method != "cones2":
        raise UserError(f"--layout and --box go with --method cones2, not with {asked.method}")
    return {"layout": layout}


def _strengths(asked: MethodRequest, request: GenerateRequest) -> dict[str, Any]:
    if not request.strengths:
        return {}
    if not asked.entry.merges:
        raise UserError(f"--strength is for methods that merge states, such as dco; {asked.method} does not")
    if not all(map(isfinite, request.strengths)):
        raise UserError("--strength must be a number, such as 0.7")
    if len(request.strengths) != len(request.states):
        raise UserError(
            f"--strength was given {counted(len(request.strengths), 'time')}, --state "
            f"{counted(len(request.states), 'time')}; give one for each state, in their order"
        )
    return {"strengths": [*request.strengths]}


def _numbers(text: str) -> list[float]:
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--box {text}: expected four numbers such as 0.1,0.2,0.6,0.9") from error
    return [x0, y0, x1, y1]


def _seeds(request: GenerateRequest) -> list[int]:
    if request.seeds is None:
        if request.seed > _MOST:
            raise UserError(f"--seed {request.seed}: of a set it must not be above {_MOST}")
        return [request.seed]
    try:
        seeds = [int(part) for part in request.seeds.split(",")]
        if min(seeds) < 0 or max(seeds) > _MOST:
            raise ValueError(f"a seed is not in 0 to {_MOST}")
        if len({*seeds}) < len(seeds):
            raise ValueError("a seed is there twice")
    except ValueError as error:
        raise UserError(
            f"--seeds {request.seeds}: expected numbers from 0 on, such as 1,2 ({error})"
        ) from error
    return seeds
