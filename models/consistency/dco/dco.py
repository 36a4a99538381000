# SPDX-License-Identifier: Apache-2.0
"""DCO, DreamBooth and Textual Inversion: one trainer, one way to draw, other settings.

An implementation of its own, from the papers; see `options.py`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from models.consistency.borrowed import borrowed, frozen, intercepted
from models.consistency.dco.adapters import adapters, filled, set_strength
from models.consistency.dco.captions import Said, renamed, said_of
from models.consistency.dco.guidance import Guidance
from models.consistency.dco.options import Options
from models.consistency.dco.rows import begun_rows, encoder_names, with_words
from models.consistency.dco.tuning import ADAPTER, Latents, Tuning, tuned
from models.consistency.latents import Noise, encoded_pictures
from models.consistency.method import Cost, Sampling, Subject, Tell, silent
from models.consistency.state import State, backbone
from models.consistency.text import pixels_of, texts_of

_AT_ONCE = 4
"""Pictures of the noun that are drawn together."""


class Dco:
    """Learns a subject, or a style, from a few pictures of it."""

    name = "dco"

    def __init__(self, options: Options | None = None) -> None:
        """
        Args:
            options: see there; DCO's for a subject if not given.
        """
        self.options = options or Options()
        self.losses: list[float] = []
        """Of the last tuning."""
        self.rows = 0
        """Rows that the UNet computed in the last `generate`."""
        self._cost = Cost()

    def cost(self) -> Cost:
        """Of the last tuning and the last drawing."""
        return self._cost

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> State:
        """Learn a subject.

        Args:
            pipe: a Stable Diffusion or SDXL pipeline; it is left as it was.
            subject: its noun, pictures, and what is said of them.
            sampling: its height and width are those of training.
            tell: of progress.

        Raises:
            ValueError: there is not just one word, or no picture.
            BadCaption: a caption does not name the noun just once.
        """
        if len(subject.words) != 1 or not subject.pictures:
            raise ValueError("one subject is learnt at a time: one word, and pictures of it")
        began, options, noun = time.perf_counter(), self.options, subject.words[0]
        said = said_of(len(subject.pictures), noun, subject.captions, self._word(noun))
        prior = self._prior(pipe, noun, sampling, tell) if options.prior_weight else None
        with ExitStack() as stack:
            ours = stack.enter_context(borrowed(pipe))
            encoders = [getattr(ours, name) for name in encoder_names(ours)]
            stack.enter_context(frozen(ours.unet, ours.vae, *encoders))
            ranks = {ADAPTER: options.rank} if options.rank else {}
            lora = stack.enter_context(adapters(ours.unet, ranks, options.seed)).get(ADAPTER, {})
            rows = begun_rows(ours, noun) if options.token else {}
            words = [options.token] if options.token else []
            base = _texts(ours, said.base, sampling)
            stack.enter_context(with_words(ours, words, rows))
            tuning = self._tuning(ours, said, base, sampling, rows, lora, subject, prior)
            self.losses = tuned(tuning, tell)
            tensors = {f"lora.{name}": each for name, each in lora.items()}
            tensors |= {f"rows.{name}": each for name, each in rows.items()}
            tensors = {name: each.detach().cpu().clone() for name, each in tensors.items()}
        state = State(self.name, self._about(pipe, noun), tensors)
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
        strengths: Sequence[float] | None = None,
    ) -> Any:
        """See `ConsistencyMethod.generate`; prompts have the noun, the method puts the subject's word there.

        Args:
            pipe: see `fit`.
            subject: its noun.
            state: of it; with others, such as a style's, their changes are added up.
            prompts: with the noun once, unless only styles are drawn.
            seeds: of each.
            sampling: how to sample.
            tell: of progress.
            strengths: of each state's changes; 1 if not given.

        Raises:
            ValueError: there is no state.
            BadState: a state is of another model.
            BadCaption: a prompt does not have the noun just once.
        """
        states = [state] if isinstance(state, State) else [*(state or ())]
        if not states:
            raise ValueError("the method needs a state; tune the subject first")
        for each in states:
            each.check(self.name, {"backbone": backbone(pipe)})
        began = time.perf_counter()
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            ours = stack.enter_context(borrowed(pipe))
            counts = _loaded(ours.unet, states, strengths or [1.0] * len(states), stack)
            said = _renamed(prompts, states)
            arguments = sampling.arguments(prompts, seeds)
            arguments["callback_on_step_end"] = sampling.telling(tell)
            call = self._guided(ours, said, states, counts, sampling, stack)
            if call is None:
                arguments["prompt"] = said
            with intercepted(ours.unet, call) if call else nullcontext():
                images = ours(**arguments).images
        self.rows = call.rows if call else 2 * sampling.steps * len(prompts)
        spent = (time.perf_counter() - began) / len(prompts)
        kept = sum(each.bytes for each in states)
        self._cost = Cost(self._cost.tuning_seconds, spent, kept)
        return images

    def _word(self, noun: str) -> str | None:
        """What the subject is called."""
        if self.options.token:
            return self.options.token
        return f"{self.options.identifier} {noun}" if self.options.identifier else None

    def _about(self, pipe: Any, noun: str) -> dict[str, Any]:
        about = {"backbone": backbone(pipe), "words": [noun], "word": self._word(noun)}
        return {
            **about,
            "token": self.options.token,
            "rank": self.options.rank,
            "options": asdict(self.options),
        }

    def _tuning(
        self,
        pipe: Any,
        said: Said,
        base: Any,
        sampling: Sampling,
        rows: Mapping[str, Any],
        lora: Mapping[str, Any],
        subject: Subject,
        prior: tuple[Latents, str] | None,
    ) -> Tuning:
        height, width = pixels_of(pipe, sampling.height, sampling.width)
        latents = Latents(*encoded_pictures(pipe, subject.pictures, height, width))
        with torch.no_grad():
            words = _texts(pipe, said.tuned, sampling)
            ahead = None if prior is None else (prior[0], _texts(pipe, [prior[1]], sampling))
        return Tuning(pipe, self.options, Noise(pipe), latents, said, base, words, rows, lora, ahead)

    @torch.no_grad()
    def _prior(self, pipe: Any, noun: str, sampling: Sampling, tell: Tell) -> tuple[Latents, str]:
        """Latents of pictures that the untuned model draws of the noun."""
        prompt, count = f"a photo of a {noun}", self.options.prior_pictures
        drawing = replace(sampling, output="pil")
        pictures = []
        with borrowed(pipe) as ours:
            for start in range(0, count, _AT_ONCE):
                seeds = [self.options.seed + place for place in range(start, min(count, start + _AT_ONCE))]
                tell(start, count, f"drawing pictures of any {noun}")
                pictures += ours(**drawing.arguments([prompt] * len(seeds), seeds)).images
        return Latents(
            *encoded_pictures(pipe, pictures, *pixels_of(pipe, sampling.height, sampling.width))
        ), prompt

    def _guided(
        self,
        pipe: Any,
        said: Sequence[str],
        states: Sequence[State],
        counts: Mapping[str, float],
        sampling: Sampling,
        stack: ExitStack,
    ) -> Guidance | None:
        """None for the tuned model's own guidance, which needs the words to stay known."""
        words = [state.about["token"] for state in states if state.about["token"]]
        rows = {
            name: torch.cat([state.tensors[f"rows.{name}"] for state in states if state.about["token"]])
            for name in (encoder_names(pipe) if words else ())
        }
        rows = {name: each.to(pipe.unet.device) for name, each in rows.items()}
        known = with_words(pipe, words, rows)
        if self.options.consistency is None:
            stack.enter_context(known)
            return None
        with known:
            texts = _texts(pipe, said, sampling)
        return Guidance(pipe, self.options.consistency, texts, counts)


def _texts(pipe: Any, prompts: Sequence[str], sampling: Sampling) -> Any:
    with torch.no_grad():
        return texts_of(pipe, prompts, *pixels_of(pipe, sampling.height, sampling.width))


def _loaded(
    unet: Any, states: Sequence[State], strengths: Sequence[float], stack: ExitStack
) -> dict[str, float]:
    """Put the states' changes on a UNet; returns how much each counts, by adapter."""
    names = {f"{ADAPTER}_{place}": state for place, state in enumerate(states) if state.about["rank"]}
    ranks = {name: int(state.about["rank"]) for name, state in names.items()}
    parameters = stack.enter_context(adapters(unet, ranks))
    for name, state in names.items():
        filled(parameters[name], _named(state.tensors, "lora."))
    counts = {name: strengths[int(name.rsplit("_", 1)[1])] for name in names}
    set_strength(unet, counts)
    return counts


def _named(tensors: Mapping[str, Tensor], beginning: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(beginning): each for name, each in tensors.items() if name.startswith(beginning)
    }


def _renamed(prompts: Sequence[str], states: Sequence[State]) -> list[str]:
    """Prompts with each state's noun replaced by what the subject is called."""
    found = [*prompts]
    for state in states:
        if state.about["word"]:
            found = [renamed(prompt, state.about["words"][0], state.about["word"]) for prompt in found]
    return found
