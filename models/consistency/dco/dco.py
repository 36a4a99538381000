# SPDX-License-Identifier: Apache-2.0
"""DCO, DreamBooth and Textual Inversion: one trainer, one way to draw, other settings.

An implementation of its own, from the papers; see `options.py`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch

from models.consistency.borrowed import borrowed, frozen, intercepted, without_ip_adapter
from models.consistency.dco.adapters import adapters
from models.consistency.dco.captions import said_of
from models.consistency.dco.guidance import Guidance
from models.consistency.dco.loaded import (
    checked,
    renamed_prompts,
    told_apart,
    with_changes,
    with_learnt_words,
)
from models.consistency.dco.options import Options
from models.consistency.dco.prior import prior_latents, prior_prompt
from models.consistency.dco.rows import begun_rows, encoder_names, with_words
from models.consistency.dco.tuning import ADAPTER, Latents, Tuning, tuned
from models.consistency.latents import Noise, encoded_pictures
from models.consistency.method import Cost, Sampling, Subject, Tell, check_asked, silent
from models.consistency.state import BadState, State, backbone
from models.consistency.text import Texts, pixels_of, texts_of


class Dco:
    """Learns a subject, or a style, from a few pictures; several at once if an identifier names them."""

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
        """Learn a subject, or several together as joint DreamBooth does.

        Args:
            pipe: a Stable Diffusion or SDXL pipeline; it is left as it was.
            subject: its noun, pictures, and what is said of them.
            sampling: its height and width are those of training.
            tell: of progress.

        Raises:
            ValueError: there are several subjects for one new word, or no picture.
            BadCaption: a caption does not name its noun just once.
        """
        if len(subject.words) != 1 and self.options.token:
            raise ValueError(
                "a new word is of one subject: learn one at a time, or several together with token null and "
                "an identifier"
            )
        if not subject.pictures:
            raise ValueError("a subject is learnt from pictures of it; give at least one")
        began, options, nouns = time.perf_counter(), self.options, subject.words
        said = said_of(len(subject.pictures), nouns, subject.captions, self._called(nouns))
        prior = None
        if options.prior_weight:
            with without_ip_adapter(pipe.unet):
                prior = prior_latents(pipe, nouns, options.prior_pictures, options.seed, sampling, tell)
        with ExitStack() as stack:
            ours = stack.enter_context(borrowed(pipe))
            encoders = [getattr(ours, name) for name in encoder_names(ours)]
            stack.enter_context(frozen(ours.unet, ours.vae, *encoders))
            stack.enter_context(without_ip_adapter(ours.unet))
            ranks = {ADAPTER: options.rank} if options.rank else {}
            lora = stack.enter_context(adapters(ours.unet, ranks, options.seed)).get(ADAPTER, {})
            rows = begun_rows(ours, nouns[0]) if options.token else {}
            words = [options.token] if options.token else []
            base = _texts(ours, said.base, sampling)
            stack.enter_context(with_words(ours, words, rows))
            height, width = pixels_of(ours, sampling.height, sampling.width)
            tuning = Tuning(
                ours,
                options,
                Noise(ours),
                Latents(*encoded_pictures(ours, subject.pictures, height, width)),
                said,
                base,
                _texts(ours, said.tuned, sampling),
                rows,
                lora,
                None if prior is None else (prior, _texts(ours, [*map(prior_prompt, nouns)], sampling)),
            )
            self.losses = tuned(tuning, tell)
            tensors = {f"lora.{name}": each for name, each in lora.items()}
            tensors |= {f"rows.{name}": each for name, each in rows.items()}
            tensors = {name: each.detach().cpu().clone() for name, each in tensors.items()}
        state = State(self.name, self._about(pipe, nouns), tensors)
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
            checked(each, pipe)
        states = told_apart(states)
        named = {word.casefold() for each in states for word in each.about["words"]}
        if unknown := [word for word in subject.words if word.casefold() not in named]:
            raise BadState(f"the states are of {', '.join(sorted(named))}, not of {', '.join(unknown)}")
        if sampling.more.get("prompt_2"):
            raise ValueError("prompt_2 does not go with learnt words; leave it out")
        if strengths is not None and len(strengths) != len(states):
            raise ValueError(
                f"there are {len(strengths)} strengths for {len(states)} states; give one for each"
            )
        check_asked(prompts, seeds)
        began, said = time.perf_counter(), renamed_prompts(prompts, states)
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            ours = stack.enter_context(borrowed(pipe))
            counts = stack.enter_context(with_changes(ours.unet, states, strengths or [1.0] * len(states)))
            own = self.options.consistency is None
            with with_learnt_words(ours, states):
                texts = _texts(ours, said, sampling)
            if own:
                stack.enter_context(with_learnt_words(ours, states))
            guidance = Guidance(ours, self.options.consistency, texts, counts)
            with intercepted(ours.unet, guidance):
                images = sampling.draw(ours, said if own else prompts, seeds, tell)
        self.rows = guidance.rows
        spent = (time.perf_counter() - began) / len(prompts)
        kept = sum(each.bytes for each in states)
        self._cost = Cost(self._cost.tuning_seconds, spent, kept)
        return images

    def _called(self, nouns: Sequence[str]) -> list[str]:
        """What the subjects are called."""
        if self.options.token:
            return [self.options.token]
        return [f"{self.options.identifier} {noun}" if self.options.identifier else noun for noun in nouns]

    def _about(self, pipe: Any, nouns: Sequence[str]) -> dict[str, Any]:
        about = {"backbone": backbone(pipe), "words": [*nouns], "called": self._called(nouns)}
        return {
            **about,
            "token": self.options.token,
            "rank": self.options.rank,
            "options": asdict(self.options),
        }


def _texts(pipe: Any, prompts: Sequence[str], sampling: Sampling) -> Texts:
    with torch.no_grad():
        skipped = sampling.more.get("clip_skip")
        return texts_of(pipe, prompts, *pixels_of(pipe, sampling.height, sampling.width), skipped)
