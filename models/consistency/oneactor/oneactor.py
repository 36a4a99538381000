# SPDX-License-Identifier: Apache-2.0
"""OneActor: a subject learnt in minutes as two offsets of its word (Wang et al. 2024, arXiv 2404.10267).

An implementation of its own, from the paper.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from models.consistency.borrowed import borrowed, intercepted, without_ip_adapter
from models.consistency.method import Cost, Sampling, Subject, Tell, check_asked, silent
from models.consistency.offsets import places_of
from models.consistency.oneactor.cluster import Cluster, drawn_cluster
from models.consistency.oneactor.guidance import Guidance, interpolated
from models.consistency.oneactor.options import Options
from models.consistency.oneactor.separate import Separate, subjects_of
from models.consistency.oneactor.tuning import final_offsets, prepared, tuned
from models.consistency.state import BadState, State, backbone, text_width
from models.consistency.templates import SENTENCES

if TYPE_CHECKING:
    from PIL import Image


class OneActor:
    """Learns a subject from one picture of a prompt, told apart from the others of that prompt."""

    name = "oneactor"

    def __init__(self, options: Options | None = None) -> None:
        """
        Args:
            options: see there; the `quality` preset if not given.
        """
        self.options = options or Options()
        self.losses: list[float] = []
        """Of the last tuning."""
        self.pictures: tuple[Image.Image, ...] = ()
        """That the last subject was learnt from, the target first."""
        self.rows = 0
        """Rows that the UNet computed in the last `generate`."""
        self._cost = Cost()

    def cost(self) -> Cost:
        """Of the last tuning and the last drawing."""
        return self._cost

    def cluster(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> Cluster:
        """Draw the pictures that a subject is learnt from, to choose the target among them."""
        options = self.options
        seeds = [options.seed + place for place in range(options.auxiliaries + (not subject.pictures))]
        return drawn_cluster(pipe, subject, seeds, options.target, sampling, tell)

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> State:
        """Learn a subject.

        Args:
            pipe: a Stable Diffusion or SDXL pipeline; its weights are not touched.
            subject: its words, the prompt that draws it, and a picture of it if it is a given one.
            sampling: how the pictures are drawn that it is learnt from.
            tell: of progress.

        Raises:
            WordNotFound: the prompt lacks the words.
        """
        began = time.perf_counter()
        # Before pictures are drawn with a prompt that is not about the subject.
        places_of(pipe, [subject.text], subject.words)
        with without_ip_adapter(pipe.unet):
            cluster = self.cluster(pipe, subject, sampling, tell)
            self.pictures = cluster.pictures
            tuning = prepared(
                pipe, cluster, subject.words, sentences(self.options, subject.words), self.options
            )
            self.losses = tuned(tuning, self.options, tell)
        offsets = (each.cpu() for each in final_offsets(tuning, self.options))
        state = State(
            self.name,
            {
                "backbone": backbone(pipe),
                "words": [*subject.words],
                "prompt": subject.text,
                "options": asdict(self.options),
            },
            dict(zip(("target", "average"), offsets, strict=True)),
        )
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
    ) -> Any:
        """See `ConsistencyMethod.generate`; `sampling.guidance` is eta 1 less eta 2.

        Args:
            pipe: a Stable Diffusion or SDXL pipeline.
            subject: its words.
            state: of the subjects that were learnt together, or of each that was learnt apart.
            prompts: each with at least one of the words.
            seeds: of each.
            sampling: how to sample.
            tell: of progress.

        Raises:
            ValueError: there is no state, or texts are to be interpolated without guidance.
            WordNotFound: a prompt has none of the words.
            BadState: a state is of another model or of other words.
        """
        check_asked(prompts, seeds)
        states = [state] if isinstance(state, State) else [*(state or ())]
        words = self._words(pipe, subject, states)
        if self.options.interpolation != 1 and sampling.guidance <= 1:
            raise ValueError("interpolation needs guidance above 1, which knows what an empty prompt is")
        began = time.perf_counter()
        with torch.no_grad(), borrowed(pipe) as ours:
            device = ours.unet.device
            target, average = (
                torch.cat([each.tensors[name] for each in states]).to(device)
                for name in ("target", "average")
            )
            places = places_of(ours, prompts, [word for some in words for word in some])
            about = ours, self.options, places, target, average, len(prompts)
            watching: Any = nullcontext()
            if len(states) > 1:
                guidance = Separate(*about, subject_T=subjects_of(ours.tokenizer, words))
                watching = guidance.masks.watching()
            else:
                guidance = Guidance(*about)
            with watching, intercepted(ours.unet, interpolated(guidance, self.options.interpolation)):
                images = sampling.draw(ours, prompts, seeds, tell)
        self.rows = guidance.rows
        spent = (time.perf_counter() - began) / len(prompts)
        self._cost = Cost(self._cost.tuning_seconds, spent, sum(each.bytes for each in states))
        return images

    def _words(self, pipe: Any, subject: Subject, states: Sequence[State]) -> list[list[str]]:
        """Of each state, in its own order; together they are the subject's."""
        if not states:
            raise ValueError("OneActor needs a state; tune the subject first")
        for each in states:
            each.check(self.name, {"backbone": backbone(pipe)})
            needed = ("target", "average") if self.options.exclusion else ("target",)
            each.holds(text_width(pipe), **dict.fromkeys(needed, 2))
        words = [[*each.about["words"]] for each in states]
        if len(states) == 1:
            states[0].check(self.name, {"words": [*subject.words]})
        learnt = [word for some in words for word in some]
        if sorted(map(str.casefold, learnt)) != sorted(map(str.casefold, subject.words)):
            raise BadState(
                f"the states are of {', '.join(learnt)}, and the subjects are {', '.join(subject.words)}; "
                "give a state for each subject, and no other"
            )
        return words


def sentences(options: Options, words: Sequence[str]) -> list[str]:
    """Every sentence that a subject is learnt in, about the words, joined by and."""
    chosen = options.captions or SENTENCES[options.kind]
    return [sentence.replace("{}", " and a ".join(words)) for sentence in chosen]
