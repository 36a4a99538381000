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
from models.consistency.consistory.options import FREEU_SDXL, Options
from models.consistency.consistory.passes import Batch, Found, Passes, matched
from models.consistency.consistory.remembered import Remembered
from models.consistency.method import Cost, Sampling, Subject, Tell, silent
from models.consistency.state import State, backbone


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

    def fit(self, pipe: Any, subject: Subject, sampling: Sampling, tell: Tell = silent) -> None:
        """Nothing is learnt."""

    def cost(self) -> Cost:
        """Of the last call."""
        return self._cost

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
            state: anchors of before, see `remember`; without, the first prompts are the anchors.
            prompts: each with at least one of the words.
            seeds: of each.
            sampling: how to sample.
            tell: of progress.

        Raises:
            WordNotFound: a prompt has none of the words.
            BadState: the anchors are of another model or setting.
            FloatingPointError: the latents are no numbers in the end.
        """
        if state is None:
            return self._draw(pipe, subject, prompts, seeds, sampling, tell)[0]
        state.state.check(self.name, self._about(pipe, subject, sampling))
        if state.first is not None:
            return self._draw(pipe, subject, prompts, seeds, sampling, tell, reading=state)[0]
        anchors, anchor_seeds = state.state.about["prompts"], state.state.about["seeds"]
        again = ConsiStory(replace(self.options, anchors=len(anchors)))
        both = [*anchors, *prompts], [*anchor_seeds, *seeds]
        result, _ = again._draw(pipe, subject, *both, sampling, tell)
        self.calls, self.masks, self._cost = again.calls, again.masks, again._cost
        return result[len(anchors) :]

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
            limit: bytes of each pass beyond which anchors are made again with each batch instead.
            tell: of progress.
        """
        archives = [
            Archive(len(prompts), None if folder is None else folder / name, limit)
            for name in ("first", "second")
        ]
        all_see = ConsiStory(replace(self.options, anchors=len(prompts)))
        result, found = all_see._draw(pipe, subject, prompts, seeds, sampling, tell, writing=archives)
        self.calls, self.masks, self._cost = all_see.calls, all_see.masks, all_see._cost
        about = {**self._about(pipe, subject, sampling), "prompts": [*prompts], "seeds": [*seeds]}
        tensors = (
            {} if found is None else {"features": found.features_BChw.cpu(), "masks": found.masks_BP.cpu()}
        )
        state = State(self.name, {**about, "grid": None if found is None else [*found.grid]}, tensors)
        for archive in archives:
            archive.close()
        room = not any(archive.overflown for archive in archives)
        return result, Remembered(state, *(archives if room else (None, None)))

    def _draw(
        self,
        pipe: Any,
        subject: Subject,
        prompts: Sequence[str],
        seeds: Sequence[int],
        sampling: Sampling,
        tell: Tell,
        writing: Sequence[Archive] = (),
        reading: Remembered | None = None,
    ) -> tuple[Any, Found | None]:
        """Both passes; the first is left out where nothing is injected."""
        options, began = self.options, time.perf_counter()
        first_in, second_in = (None, None) if reading is None else (reading.first, reading.second)
        first_out, second_out = writing or (None, None)
        batch = Batch(prompts, seeds, subject.words, sampling)
        with torch.no_grad(), borrowed(pipe) as ours:
            self._freeu(ours)
            passes = Passes(ours, options, batch, lambda done, what: tell(done, sampling.steps, what))
            found = matches = None
            if options.injection:
                found = passes.first(first_out, first_in)
                matches = matched(found, options, None if reading is None else reading.found)
            result, steering = passes.last(matches, second_out, second_in)
        self.calls, self.masks = passes.calls, dict(steering.masks.clean)
        spent = time.perf_counter() - began
        self._cost = Cost(image_seconds=spent / len(prompts), subject_bytes=reading.bytes if reading else 0)
        if isinstance(result, Tensor) and not bool(torch.isfinite(result).all()):
            raise FloatingPointError("the latents are no numbers; sample in float32 or bfloat16")
        return result, found

    def _freeu(self, pipe: Any) -> None:
        freeu = self.options.freeu
        if freeu == "usual":
            freeu = FREEU_SDXL if hasattr(pipe, "text_encoder_2") else None
        if freeu is not None:
            pipe.unet.enable_freeu(*freeu)

    def _about(self, pipe: Any, subject: Subject, sampling: Sampling) -> dict[str, Any]:
        """What anchors and later pictures have to have in common."""
        options = {name: value for name, value in asdict(self.options).items() if name != "anchors"}
        return {
            "backbone": backbone(pipe),
            "words": [*subject.words],
            "size": [sampling.height, sampling.width],
            "steps": sampling.steps,
            "guided": sampling.guidance > 1,
            "precision": str(pipe.unet.dtype),
            "options": options,
        }
