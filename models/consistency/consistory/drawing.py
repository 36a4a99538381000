# SPDX-License-Identifier: Apache-2.0
"""A set of pictures in both passes, inside of a pipeline that is given back as it was."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.consistency.borrowed import borrowed
from models.consistency.consistory.archive import Archive
from models.consistency.consistory.options import FREEU_SDXL, Options
from models.consistency.consistory.passes import Batch, Found, Passes, matched
from models.consistency.consistory.remembered import Remembered
from models.consistency.method import Tell


@dataclass(frozen=True)
class Drawn:
    """A set."""

    pictures: Any
    """Or latents (B, C, H, W)."""
    found: Found | None
    """By the first pass, if there was any."""
    masks: dict[tuple[int, int], Tensor]
    """Where subjects were in the end, by grid, bool (B, P)."""
    calls: int
    """Evaluations of the UNet."""
    seconds: float
    """For each picture."""


def drawn(
    pipe: Any,
    options: Options,
    batch: Batch,
    tell: Tell,
    writing: Sequence[Archive] = (),
    reading: Remembered | None = None,
) -> Drawn:
    """Both passes; the first is left out where nothing is injected.

    Args:
        pipe: any with a UNet of Stable Diffusion's kind.
        options: of the method.
        batch: what to draw.
        tell: of progress.
        writing: of each pass, to keep what later pictures need.
        reading: anchors of before.

    Raises:
        WordNotFound: a prompt has none of the words.
        FloatingPointError: the latents are no numbers in the end.
    """
    began, steps = time.perf_counter(), batch.sampling.steps
    if batch.given is not None and batch.sampling.more.get("guidance_rescale"):
        raise ValueError("guidance_rescale does not go with given pictures; leave one of them out")
    first_in, second_in = (None, None) if reading is None else (reading.first, reading.second)
    first_out, second_out = writing or (None, None)
    with torch.no_grad(), borrowed(pipe) as ours:
        with_freeu(ours, options)
        passes = Passes(ours, options, batch, lambda done, what: tell(done, steps, what))
        found = matches = None
        if options.injection:
            found = passes.first(first_out, first_in)
            remembered = None if reading is None else reading.found
            matches = matched(found, options, remembered, apart=batch.given is not None)
        result, steering = passes.last(matches, second_out, second_in)
    seconds = (time.perf_counter() - began) / len(batch.prompts)
    return Drawn(result, found, dict(steering.masks.clean), passes.calls, seconds)


def with_freeu(pipe: Any, options: Options) -> None:
    """Switch FreeU on in a borrowed pipeline, if the options say so."""
    freeu = options.freeu
    if freeu == "usual":
        freeu = FREEU_SDXL if hasattr(pipe, "text_encoder_2") else None
    if freeu is not None:
        pipe.unet.enable_freeu(*freeu)
