# SPDX-License-Identifier: Apache-2.0
"""From the options of `generate` to sets of pictures by a method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.consistency.draw import Sets, draw_sets
from pipeline.consistency.layout_file import given_layout
from pipeline.consistency.request import MethodRequest, read_pictures, read_prompts, sampler_of
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.generate_request import GenerateRequest


def method_lines(request: GenerateRequest) -> Iterator[str]:
    """Draw, and tell of each picture.

    Raises:
        UserError: options that make no sense together, bad input, or no such weights or device.
    """
    sampler = sampler_of(
        **request.common, **({} if request.guidance is None else {"guidance": request.guidance})
    )
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
    sets = Sets(
        prompts=prompts,
        seeds=_seeds(request),
        states=request.states,
        pictures=read_pictures(request.references),
        more=_more(asked, request),
        folder=request.output,
        masks=request.masks,
    )
    return draw_sets(asked, sets)


def _more(asked: MethodRequest, request: GenerateRequest) -> dict[str, Any]:
    layout = given_layout(request.layout, [_numbers(box) for box in request.boxes])
    if layout is None:
        return {}
    if asked.method != "cones2":
        raise UserError(f"--layout and --box go with --method cones2, not with {asked.method}")
    return {"layout": layout}


def _numbers(text: str) -> list[float]:
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--box {text}: expected four numbers such as 0.1,0.2,0.6,0.9") from error
    return [x0, y0, x1, y1]


def _seeds(request: GenerateRequest) -> list[int]:
    if request.seeds is None:
        return [request.seed]
    try:
        seeds = [int(part) for part in request.seeds.split(",")]
        if min(seeds) < 0:
            raise ValueError("a seed is negative")
    except ValueError as error:
        raise UserError(
            f"--seeds {request.seeds}: expected numbers from 0 on, such as 1,2 ({error})"
        ) from error
    return seeds
