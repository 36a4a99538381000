# SPDX-License-Identifier: Apache-2.0
"""A UNet's calls in a steered pass: which step each belongs to, the unchanged model's call before it, the two
halves of guidance one after the other, and the features that come out on the way.

Shapes: B pictures, C channels, h, w places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.consistency.borrowed import intercepted
from models.consistency.call_rows import with_rows
from models.consistency.clock import Clock
from models.consistency.consistory.layers import steered_layers
from models.consistency.consistory.steering import Steering
from models.consistency.unet_layout import features_block


class Calls:
    """Counts and changes the calls of a pass."""

    def __init__(
        self, pipe: Any, steering: Steering, ended: Callable[[int], None], given_guidance: float = 1.0
    ) -> None:
        """
        Args:
            pipe: whose UNet is called; its scheduler has its timesteps by the first call.
            steering: of the pass.
            ended: is told how many steps are done, after each.
            given_guidance: of pictures that are given, instead of the pipeline's.
        """
        self._pipe, self._steering, self._ended = pipe, steering, ended
        self._given_guidance = given_guidance
        self.made = 0
        """Evaluations of the UNet on the whole batch."""
        self.features_BChw: Tensor | None = None
        """Of the half with the prompt, at the step nearest to `features_time`."""
        self.predicted: Tensor | None = None
        """By the last call; of latents that are no numbers it is none either."""
        self.features_time: float | None = None
        """Timestep that they are of."""
        self._clock = Clock(pipe.scheduler)
        self._watching = False

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The UNet steered; everything back afterwards."""
        unet, options = self._pipe.unet, self._steering.options
        block = features_block(unet) if options.features_block is None else options.features_block
        if block >= len(unet.up_blocks):
            raise ValueError(f"features_block is {block}; this model has {len(unet.up_blocks)} up blocks")
        hook = unet.up_blocks[block].register_forward_hook(self._caught)
        try:
            with steered_layers(unet, self._steering), intercepted(unet, self._call):
                yield
        finally:
            hook.remove()

    def _call(
        self, forward: Callable[..., Any], sample: Tensor, timestep: Any, *given: Any, **named: Any
    ) -> Any:
        steering, clock = self._steering, self._clock
        clock.tick()
        steering.call = clock.calls
        if clock.calls == 1:
            height, width = sample.shape[-2:]
            steering.begin(height, width, clock.steps)
        halves, rest = divmod(len(sample), steering.pictures)
        if rest or halves not in (1, 2):
            raise ValueError(
                f"the UNet is called with {len(sample)} rows for {steering.pictures} pictures; "
                "ConsiStory knows of guidance with two halves, or none"
            )
        both = (False, True) if halves == 2 else (True,)
        run = _one_by_one if steering.options.sequential_halves and halves == 2 else _together
        steering.recording = clock.begins
        if steering.blend:
            steering.vanilla = True
            try:
                run(steering, forward, both, (sample, timestep, *given), named)
                self.made += 1
            finally:
                steering.vanilla = False
        self._watching = steering.recording and clock.step == self._features_step()
        result = run(steering, forward, both, (sample, timestep, *given), named)
        self.made += 1
        self.predicted = result[0]
        self._settle()
        if clock.ends:
            steering.end_step()
            self._ended(steering.step)
        return self._as_inverted(result) if steering.given and halves == 2 else result

    def _as_inverted(self, result: Any) -> Any:
        """Two halves of which the pipeline's guidance makes what the given pictures were inverted with."""
        nothing, with_prompt = result[0].chunk(2)
        first = slice(self._steering.given)
        part = self._given_guidance / self._pipe.guidance_scale
        milder = torch.lerp(nothing[first], with_prompt[first], part)
        return (torch.cat([nothing, milder, with_prompt[self._steering.given :]]),)

    def _features_step(self) -> int:
        """The step whose timestep is nearest to the wanted one."""
        wanted, times = self._steering.options.features_time, self._clock.times
        return min(range(len(times)), key=lambda step: abs(times[step] - wanted))

    def _caught(self, _module: Any, _inputs: Any, output: Any) -> None:
        steering = self._steering
        if self._watching and not steering.vanilla and True in steering.halves:
            states = output[0] if isinstance(output, tuple) else output
            with_prompt = states[-steering.pictures :]
            # The next block's FreeU scales channels in place.
            self.features_BChw = with_prompt if steering.options.features_aliased else with_prompt.clone()

    def _settle(self) -> None:
        if self._watching and self.features_BChw is not None:
            self.features_BChw = self.features_BChw.clone()
            self.features_time = self._clock.times[self._clock.step]
        self._watching = False


def _together(
    steering: Steering, forward: Callable[..., Any], halves: tuple[bool, ...], given: Any, named: Any
) -> Any:
    steering.halves = halves
    return forward(*given, **named)


def _one_by_one(
    steering: Steering, forward: Callable[..., Any], halves: tuple[bool, ...], given: Any, named: Any
) -> Any:
    """As (sample,), whatever kind of output was asked for: the pipelines ask for tuples."""
    rows, parts = len(given[0]), []
    for place, half in enumerate(halves):
        steering.halves = (half,)
        which = partial(_half, place)
        parts.append(forward(*with_rows(given, rows, which), **with_rows(named, rows, which)))
    if not isinstance(parts[0], tuple):
        parts[0].sample = torch.cat([part.sample for part in parts])
        return parts[0]
    return (torch.cat([part[0] for part in parts]),)


def _half(place: int, rows: Tensor) -> Tensor:
    return rows.chunk(2)[place]
