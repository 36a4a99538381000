# SPDX-License-Identifier: Apache-2.0
"""One subject by every method on the miniature: a row a method, a column a prompt."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from PIL import Image

from benchmarks.consistency.subject import Chosen, chosen_subject
from models.consistency.method import Sampling, Subject
from models.consistency.registry import METHODS
from models.miniature.world import BACKGROUNDS
from models.subject_diffusion.drawing import SubjectsToImage
from pipeline.consistency.sheet import contact_sheet

_PROMPTS = ("a cat in the snow", "a cat at night", "a cat in the kitchen", "a cat on the beach")
_SEEDS = (3, 4, 5, 6)

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "consistory": {},
    "oneactor": {"steps": 800, "lr": 3e-4},
    "cones2": {
        "steps": 800,
        "lr": 1e-3,
        "batch": 4,
        "begin_weight": 1e-2,
        "rest_weight": 1e-2,
        "strength": 1.5,
        # Its own sentences have words that the miniature has never seen.
        "captions": tuple(f"a {{}} {place}" for place in BACKGROUNDS.values()),
    },
    "dco": {"steps": 800, "lr": 1e-3, "token_lr": 1e-2, "batch": 2, "beta": 50.0},
    "dreambooth": {"steps": 800, "lr": 1e-3, "batch": 2},
    "subject-diffusion": {},
    "textual-inversion": {"steps": 600, "token_lr": 2e-2, "batch": 2},
}
"""What differs from a method's defaults, which are for models of full size."""


def every_method(pipe: Any, methods: tuple[str, ...] = (*SETTINGS,)) -> Image.Image:
    """The sheet; the first row shows what the subject was learnt from.

    Args:
        pipe: the miniature's.
        methods: names of `SETTINGS`.
    """
    chosen = chosen_subject()
    rows = [("the subject", [*chosen.pictures])]
    rows += [(name, [*_drawn(pipe, name, chosen)]) for name in methods]
    names, pictures = zip(*rows, strict=True)
    return contact_sheet(pictures, _PROMPTS, names)


def _drawn(pipe: Any, name: str, chosen: Chosen) -> Iterator[Image.Image]:
    if METHODS[name].cut_out:
        pipe = SubjectsToImage().load().pipeline
    entry, sampling = METHODS[name], Sampling(steps=30, guidance=5.0)
    method = entry.build(replace(entry.defaults(), **SETTINGS[name]))
    began = time.perf_counter()
    subject = _given(name, chosen)
    state = method.fit(pipe, subject, sampling)
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    yield from method.generate(pipe, subject, state, _PROMPTS, _SEEDS, sampling)


def _given(name: str, chosen: Chosen) -> Subject:
    """What a method is shown of the subject: all pictures, two anchors, or a cut-out."""
    subject = chosen.shown
    if METHODS[name].cut_out:
        return replace(subject, pictures=(chosen.alone,), captions=())
    if METHODS[name].anchored:
        return replace(subject, pictures=subject.pictures[:2], captions=subject.captions[:2])
    return subject
