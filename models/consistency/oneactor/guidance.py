# SPDX-License-Identifier: Apache-2.0
"""Cluster guidance inside of a pipeline's own (equation 19): to the target, away from the average of others.

Shapes: B pictures, R = G * B rows of a call with G halves, L tokens, D width of a text's state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.consistency.call_rows import with_rows
from models.consistency.clock import Clock
from models.consistency.offsets import Places, with_offsets
from models.consistency.oneactor.options import Options


def interpolated(call: Callable[..., Any], amount: float) -> Callable[..., Any]:
    """The same call with texts between nothing and what they say, c_null + g (c - c_null) (figure 3).

    Args:
        call: see `borrowed.intercepted`.
        amount: g; 1 leaves texts as they are, and more of it is like more guidance.
    """

    def changed(
        forward: Callable[..., Any],
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        nothing, text = encoder_hidden_states.chunk(2)
        states = torch.cat([nothing, nothing + amount * (text - nothing)])
        return call(forward, sample, timestep, states, *more, **named)

    return call if amount == 1 else changed


@dataclass
class Guidance:
    """Changes a UNet's calls; the pipeline then guides as it always does."""

    pipe: Any
    options: Options
    places: Places
    target_TD: Tensor
    average_TD: Tensor
    pictures: int
    rows: int = 0
    """That the UNet has computed so far."""
    _clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count, with the places where the vectors are."""
        self._clock = Clock(self.pipe.scheduler)
        self.places = self.places.to(self.target_TD.device)

    def __call__(
        self,
        forward: Callable[..., Any],
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        """See `borrowed.intercepted`; pipelines ask for tuples."""
        self._clock.tick()
        if not self.options.guides(self._clock.step, self._clock.steps):
            self.rows += len(sample)
            return forward(sample, timestep, encoder_hidden_states, *more, **named)
        return self.guided(forward, sample, timestep, encoder_hidden_states, *more, **named)

    def guided(
        self,
        forward: Callable[..., Any],
        sample: Tensor,
        timestep: Any,
        states: Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        """A call in which the subject guides."""
        towards = self.offset(states, self.options.strength * self.target_TD)
        if not self.excludes(sample):
            self.rows += len(sample)
            return forward(sample, timestep, towards, *more, **named)
        last = slice(-self.pictures, None)
        away = self.offset(states, self.average_TD)[last]
        again = with_rows(named, len(sample), lambda each: torch.cat([each, each[last]]))
        sample = torch.cat([sample, sample[last]])
        self.rows += len(sample)
        predicted = forward(sample, timestep, torch.cat([towards, away]), *more, **again)[0]
        return (self.composed(*predicted.chunk(3)),)

    def excludes(self, sample: Tensor) -> bool:
        """Whether others are kept away from in a call: not without the pipeline's guidance."""
        return len(sample) == 2 * self.pictures and self.options.exclusion != 0

    def composed(self, nothing: Tensor, target: Tensor, others: Tensor) -> Tensor:
        """Two halves of which the pipeline makes equation 19."""
        scale, exclusion = self.pipe.guidance_scale, self.options.exclusion
        wanted = (scale + exclusion) * (target - nothing) - exclusion * (others - nothing)
        return torch.cat([nothing, nothing + wanted / scale])

    def offset(self, states_RLD: Tensor, offset_TD: Tensor) -> Tensor:
        """The rows with the prompt, which are the last ones, with offsets of the words."""
        first = len(states_RLD) - self.pictures
        places = Places(self.places.row + first, self.places.token, self.places.offset)
        return with_offsets(states_RLD, places, offset_TD)
