# SPDX-License-Identifier: Apache-2.0
"""Cones 2: subjects as residuals of their words, learnt one by one, composed freely (Liu et al. 2023,
arXiv 2305.19327).

An implementation of its own. Layout guidance works without residuals too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from models.consistency.borrowed import borrowed, intercepted, without_ip_adapter
from models.consistency.cones2.layout import BadLayout, Layout
from models.consistency.cones2.options import Options
from models.consistency.cones2.rectify import Rectifying, rectified_layers
from models.consistency.cones2.residual import prepared, residual_of, trained
from models.consistency.cones2.sampling import Drawing
from models.consistency.method import Cost, Sampling, Subject, Tell, check_asked, silent
from models.consistency.offsets import own_spans, places_of
from models.consistency.state import BadState, State, backbone, text_width
from models.consistency.templates import SENTENCES
from models.consistency.text import pixels_of

_NOISE = 7919
"""Between the seed of a picture and that of the noise which is added back to it."""


class Cones2:
    """One residual a subject; any of them together in a picture, each in its region."""

    name = "cones2"

    def __init__(self, options: Options | None = None) -> None:
        """
        Args:
            options: see there; the authors' if not given.
        """
        self.options = options or Options()
        self.losses: list[float] = []
        """Of denoising in the last training."""
        self.rows = 0
        """Rows that the UNet computed in the last `generate`."""
        self._cost = Cost()

    def cost(self) -> Cost:
        """Of the last training and the last drawing."""
        return self._cost

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> State:
        """Learn one subject's residual.

        Args:
            pipe: a Stable Diffusion or SDXL pipeline; nothing of it is changed.
            subject: one word, a real noun that says what it is, and three to five pictures.
            sampling: its height and width are those of training.
            tell: of progress.

        Raises:
            ValueError: there is not just one word, or no picture.
        """
        if len(subject.words) != 1 or not subject.pictures:
            raise ValueError("Cones 2 learns one subject at a time: one word, and pictures of it")
        began, word = time.perf_counter(), subject.words[0]
        height, width = pixels_of(pipe, sampling.height, sampling.width)
        with without_ip_adapter(pipe.unet):
            training = prepared(pipe, word, height, width)
            self.losses = trained(training, subject.pictures, height, width, self.options, tell)
        captions = self.options.captions or SENTENCES["object"]
        residual_MD = residual_of(pipe, training.encoders, word, captions).cpu()
        about = {"backbone": backbone(pipe), "words": [word], "prediction": _prediction(pipe)}
        about |= {"steps": self.options.steps, "size": [height, width]}
        state = State(self.name, about, {"residual": residual_MD})
        self._cost = Cost(tuning_seconds=time.perf_counter() - began, subject_bytes=state.bytes)
        return state

    def generate(
        self,
        pipe: Any,
        subject: Subject,
        state: State | Sequence[State] | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        tell: Tell = silent,
        layout: Layout | None = None,
    ) -> Any:
        """See `ConsistencyMethod.generate`.

        Args:
            pipe: see `fit`.
            subject: its words, of all subjects in the order of the state's.
            state: one subject's, or several, to be composed; None for layout guidance alone.
            prompts: with the words; of a word that is there twice each stands for one subject.
            seeds: of each.
            sampling: how to sample.
            tell: of progress.
            layout: a region for each word, the same in all pictures.

        Raises:
            WordNotFound: a prompt has none of the words.
            BadLayout: regions and words are of another number.
            BadState: the state is of another model or of other words.
            ValueError: steps are to be repeated, and the scheduler calls the UNet more than once a step.
        """
        check_asked(prompts, seeds)
        began, words = time.perf_counter(), subject.words
        if isinstance(state, Sequence):
            state = composed(state) if state else None
        if state is not None:
            wanted = {"backbone": backbone(pipe), "words": [*words], "prediction": _prediction(pipe)}
            state.check(self.name, wanted)
            checked(state, text_width(pipe))
        if layout is not None and len(layout.weights) != len(words):
            raise BadLayout(f"the layout has {len(layout.weights)} regions for {len(words)} words")
        with torch.no_grad(), borrowed(pipe) as ours:
            rescaled = bool(sampling.more.get("guidance_rescale"))
            drawing = self._drawing(ours, words, state, prompts, seeds, layout, rescaled)
            ours.scheduler.step = _through(drawing, ours.scheduler.step)
            rectifying = drawing.rectifying
            layers = rectified_layers(ours.unet, rectifying) if rectifying else nullcontext()
            with layers, intercepted(ours.unet, drawing.call):
                images = sampling.draw(ours, prompts, seeds, tell)
        self.rows = drawing.rows
        spent = (time.perf_counter() - began) / len(prompts)
        self._cost = Cost(self._cost.tuning_seconds, spent, state.bytes if state else 0)
        return images

    def _drawing(
        self,
        pipe: Any,
        words: Sequence[str],
        state: State | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        layout: Layout | None,
        rescaled: bool,
    ) -> Drawing:
        options = self.options
        places = residual = rectifying = None
        if state is not None:
            places = places_of(pipe, prompts, words)
            residual = state.tensors["residual"].to(pipe.unet.device)
        if layout is not None and options.layout_weight:
            if options.recurrence > 1 and getattr(pipe.scheduler, "order", 1) > 1:
                raise ValueError("recurrence needs a scheduler that calls the UNet once a step; set it to 1")
            if options.recurrence > 1 and getattr(pipe, "controlnet", None) is not None:
                raise ValueError("recurrence does not go with a ControlNet; set it to 1, or leave that out")
            if options.recurrence > 1 and rescaled:
                raise ValueError(
                    "recurrence does not go with guidance_rescale; set it to 1, or leave that out"
                )
            if not hasattr(pipe.scheduler, "alphas_cumprod"):
                kind = type(pipe.scheduler).__name__
                raise ValueError(f"a layout needs a scheduler that knows its noise; {kind} does not tell it")
            rectifying = Rectifying(layout, _owners(pipe, prompts, words), options.layout_weight)
        generators = [torch.Generator().manual_seed(seed + _NOISE) for seed in seeds]
        return Drawing(pipe, options, len(prompts), places, residual, rectifying, generators)


def _through(drawing: Drawing, step: Callable[..., Any]) -> Callable[..., Any]:
    # Pipelines look at the signature for what the scheduler takes.
    @wraps(step)
    def through(*given: Any, **named: Any) -> Any:
        return drawing.step(step, *given, **named)

    return through


def composed(states: Sequence[State]) -> State:
    """Several subjects for one picture, in this order.

    Raises:
        BadState: they are of different models.
    """
    first = states[0]
    first.check(Cones2.name, {})
    for state in states[1:]:
        state.check(Cones2.name, {name: first.about.get(name) for name in ("backbone", "prediction")})
    for state in states:
        checked(state)
    words = [word for state in states for word in state.about["words"]]
    residual_TD = torch.cat([state.tensors["residual"] for state in states])
    return State(Cones2.name, {**first.about, "words": words}, {"residual": residual_TD})


def checked(state: State, width: int | None = None) -> None:
    """See that a state is whole.

    Args:
        state: of the method.
        width: of the model's texts; any if not given.

    Raises:
        BadState: it is not.
    """
    state.holds(width, residual=2)
    if len(state.tensors["residual"]) < len(state.about["words"]):
        raise BadState("the state is damaged: it has more words than residuals; tune the subject again")


def _owners(pipe: Any, prompts: Sequence[str], words: Sequence[str]) -> Tensor:
    owner_BL = torch.zeros(len(prompts), pipe.tokenizer.model_max_length, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        for number, occurrences in enumerate(own_spans(pipe, prompt, words), 1):
            for occurrence in occurrences:
                owner_BL[row, occurrence] = number
    return owner_BL


def _prediction(pipe: Any) -> str:
    return str(pipe.scheduler.config.prediction_type)
