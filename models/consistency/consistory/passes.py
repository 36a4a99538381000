# SPDX-License-Identifier: Apache-2.0
"""The two passes over a batch: the first finds subjects and what corresponds, the second injects as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.consistency.consistory.archive import Archive
from models.consistency.consistory.calls import Calls
from models.consistency.consistory.correspondence import Matches, matches, smoothed
from models.consistency.consistory.inversion import Inverted
from models.consistency.consistory.layers import depths_of, mask_depths
from models.consistency.consistory.options import Options
from models.consistency.consistory.sharing import sources_of
from models.consistency.consistory.steering import Steering, weights_of
from models.consistency.finite import checked_latents
from models.consistency.method import Sampling
from models.consistency.words import encoded_prompt, spans_of_any


class Found(NamedTuple):
    """What a first pass knows in the end, of each picture."""

    features_BChw: Tensor
    """Smoothed."""
    masks_BP: Tensor
    """bool, on the grid where patches are injected."""
    grid: tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """What is drawn together."""

    prompts: Sequence[str]
    seeds: Sequence[int]
    words: Sequence[str]
    sampling: Sampling
    given: Inverted | None = None
    """The first pictures, if they are given ones."""

    def __post_init__(self) -> None:
        """Check that there is something to draw.

        Raises:
            ValueError: there is no prompt, or not a seed for each.
        """
        if not self.prompts or len(self.prompts) != len(self.seeds):
            raise ValueError(f"there are {len(self.prompts)} prompts and {len(self.seeds)} seeds; give both")

    @property
    def anchors_given(self) -> int:
        """How many."""
        return 0 if self.given is None else len(self.given.begin_ACHW)


class Passes:
    """Runs them on a borrowed pipeline."""

    def __init__(self, pipe: Any, options: Options, batch: Batch, ended: Callable[[int, str], None]) -> None:
        """
        Args:
            pipe: a borrowed one.
            options: of the method.
            batch: what to draw.
            ended: is told how many steps of which pass are done.

        Raises:
            WordNotFound: a prompt has none of the words.
        """
        self._pipe, self._options, self._batch, self._ended = pipe, options, batch, ended
        self.calls = 0
        """Evaluations of the UNet so far."""
        prompts = [encoded_prompt(pipe, prompt) for prompt in batch.prompts]
        spans = [spans_of_any(pipe.tokenizer, prompt, batch.words) for prompt in prompts]
        self._weights_BLS = weights_of(spans, pipe.tokenizer.model_max_length)

    def first(self, writing: Archive | None = None, reading: Archive | None = None) -> Found:
        """Up to the features, or to the end where the options say so."""
        steering = self._steering(None, writing, reading)
        calls, _ = self._sample(
            steering, "latent", "finding the subject", stops=not self._options.whole_first_pass
        )
        if calls.features_BChw is None:
            raise ValueError("sampling ended before features could be taken")
        grid = steering.grid(depths_of(self._pipe.unet, self._options)[1])
        features_BChw = smoothed(calls.features_BChw, self._options.features_sigma)
        return Found(features_BChw, steering.masks.clean[grid].to(features_BChw.device), grid)

    def last(
        self, found: Matches | None, writing: Archive | None = None, reading: Archive | None = None
    ) -> tuple[Any, Steering]:
        """From the same noise to the end; pictures or latents, and what the layers knew."""
        steering = self._steering(found, writing, reading)
        _, result = self._sample(steering, self._batch.sampling.output, "drawing")
        return result, steering

    def _steering(self, found: Matches | None, writing: Archive | None, reading: Archive | None) -> Steering:
        unet, options = self._pipe.unet, self._options
        words, _ = depths_of(unet, options)
        return Steering(
            options,
            self._weights_BLS,
            mask_depths(unet, options),
            words,
            found,
            writing,
            reading,
            self._batch.anchors_given,
        )

    def _sample(self, steering: Steering, output: str, what: str, stops: bool = False) -> tuple[Calls, Any]:
        def ended(steps: int) -> None:
            self._ended(steps, what)
            if stops and calls.features_BChw is not None:
                self._pipe._interrupt = True

        batch = self._batch
        begin = {} if batch.given is None else self._begin(batch.given)
        calls = Calls(self._pipe, steering, ended, batch.given.guidance if batch.given else 1.0)
        sampling = replace(batch.sampling, output=output)
        with calls.attached():
            result = self._pipe(**sampling.arguments(batch.prompts, batch.seeds), **begin).images
        self.calls += calls.made
        checked_latents(calls.predicted)
        return calls, result

    def _begin(self, given: Inverted) -> dict[str, Any]:
        """The same in both passes: given pictures as they were inverted, others with noise by their seeds."""
        seeds = self._batch.seeds[self._batch.anchors_given :]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._pipe.scheduler, latents_BCHW = given.replayed(self._pipe.scheduler, generators)
        return {"latents": latents_BCHW.to(self._pipe.unet.device, self._pipe.unet.dtype)}


def matched(found: Found, options: Options, remembered: Found | None = None, apart: bool = False) -> Matches:
    """What corresponds to what in a batch, or of remembered anchors; `apart` as in `sources_of`."""
    pictures = len(found.masks_BP)
    if remembered is None:
        sources = sources_of(pictures, options.anchors, apart=apart)
        return matches(found.features_BChw, found.masks_BP, sources, found.grid)
    anchors = len(remembered.masks_BP)
    features = torch.cat([found.features_BChw, remembered.features_BChw.to(found.features_BChw)])
    masks = torch.cat([found.masks_BP, remembered.masks_BP.to(found.masks_BP.device)])
    sources = [*sources_of(pictures, options.anchors, anchors), *([()] * anchors)]
    whole = matches(features, masks, sources, found.grid)
    return Matches(*(each[:pictures] for each in whole))
