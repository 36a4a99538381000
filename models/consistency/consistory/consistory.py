# SPDX-License-Identifier: Apache-2.0
"""ConsiStory: one subject in many pictures without any training (Tewel et al. 2024, arXiv 2402.03286).

An implementation of its own, from the paper.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.consistency.borrowed import borrowed
from models.consistency.consistory.archive import Archive
from models.consistency.consistory.drawing import Drawn, drawn, with_freeu
from models.consistency.consistory.inversion import inverted
from models.consistency.consistory.options import Options
from models.consistency.consistory.passes import Batch
from models.consistency.consistory.remembered import Remembered
from models.consistency.method import Cost, Sampling, Subject, Tell, check_asked, silent
from models.consistency.state import BadState, State, backbone
from models.consistency.text import pixels_of
from models.consistency.words import encoded_prompt, spans_of_any


class ConsiStory:
    """Draws all pictures of a set together: each sees the subject in the first ones, the anchors."""

    name = "consistory"

    def __init__(self, options: Options | None = None) -> None:
        """
        Args:
            options: see there; the paper's if not given.
        """
        self.options = options or Options()
        self.calls = 0
        """Evaluations of the UNet in the last `generate`."""
        self.masks: dict[tuple[int, int], Tensor] = {}
        """Where subjects were found in the end, by grid, bool (B, P): to be looked at."""
        self._cost = Cost()

    def cost(self) -> Cost:
        """Of the last call."""
        return self._cost

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> Remembered | None:
        """Nothing is learnt; given pictures of the subject become the anchors (section 5.5).

        Args:
            pipe: see `generate`.
            subject: its words, and perhaps pictures and their captions.
            sampling: later pictures need the same steps, guidance and size; the paper has 100 steps.
            tell: of progress.

        Raises:
            WordNotFound: a caption has none of the words.
            ValueError: there is not a caption for each picture, or the model is of another kind.
        """
        if not subject.pictures:
            return None
        began, pictures = time.perf_counter(), subject.pictures
        captions = subject.captions or (f"a photo of {subject.text}",) * len(pictures)
        if len(captions) != len(pictures):
            raise ValueError(
                f"there are {len(captions)} captions for {len(pictures)} pictures; give one for each"
            )
        for caption in captions:
            spans_of_any(pipe.tokenizer, encoded_prompt(pipe, caption), subject.words)
        seeds, guidance = [*range(len(captions))], min(self.options.given_guidance, sampling.guidance)
        with torch.no_grad(), borrowed(pipe) as ours:
            with_freeu(ours, self.options)
            found = inverted(ours, pictures, captions, seeds, sampling, guidance, tell)
        # They are inverted without a negative prompt.
        about = {**self._about(pipe, subject, sampling, captions, seeds), "negative": None}
        tensors = {"begin": found.begin_ACHW, "added": found.added_TACHW}
        state = State(self.name, {**about, "given_guidance": guidance}, tensors)
        self._cost = Cost(tuning_seconds=time.perf_counter() - began, subject_bytes=state.bytes)
        return Remembered(state)

    def generate(
        self,
        pipe: Any,
        subject: Subject,
        state: Remembered | None,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        tell: Tell = silent,
    ) -> Any:
        """See `ConsistencyMethod.generate`.

        Args:
            pipe: any diffusers pipeline with a UNet of Stable Diffusion's kind.
            subject: its words.
            state: anchors of before, see `fit` and `remember`; without, the first prompts are the anchors.
            prompts: each with at least one of the words.
            seeds: of each.
            sampling: how to sample.
            tell: of progress.

        Raises:
            WordNotFound: a prompt has none of the words.
            BadState: the anchors are of another model or setting.
            FloatingPointError: the latents are no numbers in the end.
        """
        check_asked(prompts, seeds)
        if state is not None and not isinstance(state, Remembered):
            raise BadState(
                "ConsiStory's state is what `remember` or `fit` gave; this one is of another method"
            )
        options, batch = self.options, Batch(prompts, seeds, subject.words, sampling)
        if state is None:
            return self._told(drawn(pipe, options, batch, tell))
        about, wanted = state.state.about, self._about(pipe, subject, sampling)
        if state.given is None:
            wanted["guidance"] = sampling.guidance
        state.state.check(self.name, wanted)
        if state.first is not None:
            return self._told(drawn(pipe, options, batch, tell, reading=state), state)
        anchors = [*about["prompts"]]
        both = [*anchors, *prompts], [*about["seeds"], *seeds]
        batch = Batch(*both, subject.words, sampling, state.given)
        whole = drawn(pipe, replace(options, anchors=len(anchors)), batch, tell)
        return self._told(whole, state, len(anchors))

    def remember(
        self,
        pipe: Any,
        subject: Subject,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        folder: Path | None = None,
        limit: int | None = None,
        tell: Tell = silent,
    ) -> tuple[Any, Remembered]:
        """Draw anchors, and keep what later pictures need of them.

        Args:
            pipe: see `generate`.
            subject: see there.
            prompts: of the anchors: simple ones are best.
            seeds: of each.
            sampling: later pictures need the same steps, guidance and size.
            folder: to write to on the way; in memory otherwise.
            limit: bytes of each pass beyond which anchors are made again with each batch instead; the
                options' if not given.
            tell: of progress.
        """
        limit = self.options.kept_bytes if limit is None else limit
        if folder is not None:
            # While it is written anew, what is there is no state.
            (folder / "state.json").unlink(missing_ok=True)
        archives = [
            Archive(len(prompts), None if folder is None else folder / name, limit)
            for name in ("first", "second")
        ]
        batch = Batch(prompts, seeds, subject.words, sampling)
        all_see = replace(self.options, anchors=len(prompts))
        found = (anchors := drawn(pipe, all_see, batch, tell, writing=archives)).found
        about = self._about(pipe, subject, sampling, prompts, seeds)
        about["guidance"] = sampling.guidance
        tensors = (
            {} if found is None else {"features": found.features_BChw.cpu(), "masks": found.masks_BP.cpu()}
        )
        state = State(self.name, {**about, "grid": None if found is None else [*found.grid]}, tensors)
        for archive in archives:
            archive.close()
        # One alone sees nobody, so that nothing is kept of it either.
        room = len(prompts) > 1 and not any(archive.overflown for archive in archives)
        kept = Remembered(state, *(archives if room else (None, None)))
        return self._told(anchors, kept), kept

    def _told(self, whole: Drawn, state: Remembered | None = None, anchors: int = 0) -> Any:
        """The pictures but for so many first ones; what else is known of them is kept to be asked for."""
        self.calls = whole.calls
        self.masks = {grid: mask_BP[anchors:] for grid, mask_BP in whole.masks.items()}
        self._cost = Cost(image_seconds=whole.seconds, subject_bytes=0 if state is None else state.bytes)
        return whole.pictures[anchors:]

    def _about(
        self, pipe: Any, subject: Subject, sampling: Sampling, *drawn: Sequence[Any]
    ) -> dict[str, Any]:
        """What anchors and later pictures have to have in common; with prompts and seeds of anchors."""
        apart = {"anchors", "kept_bytes"}
        options = {name: value for name, value in asdict(self.options).items() if name not in apart}
        return {
            "backbone": backbone(pipe),
            "words": [*subject.words],
            "size": [*pixels_of(pipe, sampling.height, sampling.width)],
            "scheduler": type(pipe.scheduler).__name__,
            "steps": sampling.steps,
            "guided": sampling.guidance > 1,
            "negative": sampling.negative,
            "precision": str(pipe.unet.dtype),
            "options": options,
            **dict(zip(("prompts", "seeds"), map(list, drawn), strict=False)),
        }
