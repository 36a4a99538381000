# SPDX-License-Identifier: Apache-2.0
"""Residuals and a layout inside of a pipeline's own sampling, step by step, some steps more than once.

Shapes: B pictures, R rows of a call, L tokens, D width of a state, C latent channels, H, W cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.consistency.clock import Clock
from models.consistency.cones2.options import Options
from models.consistency.cones2.rectify import Rectifying
from models.consistency.offsets import Places, with_offsets


@dataclass
class Drawing:
    """Changes a UNet's calls and a scheduler's steps."""

    pipe: Any
    options: Options
    pictures: int
    places: Places | None
    residual_TD: Tensor | None
    rectifying: Rectifying | None
    generators: Sequence[torch.Generator] = ()
    """Of the noise that is added back, one a picture."""
    rows: int = 0
    """That the UNet has computed so far."""
    _clock: Clock = field(init=False)
    _again: Callable[[Tensor], Any] | None = field(default=None, init=False)
    """The last call of the UNet, for other latents."""

    def __post_init__(self) -> None:
        """Begin to count."""
        self._clock = Clock(self.pipe.scheduler)

    def call(
        self,
        forward: Callable[..., Any],
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        """See `borrowed.intercepted`."""
        states_RLD = self._with_residuals(encoder_hidden_states)

        def again(rows: Tensor) -> Any:
            self.rows += len(rows)
            return forward(rows, timestep, states_RLD, *more, **named)

        self._again = again
        self._clock.tick()
        self._set(sample)
        return again(sample)

    def step(
        self, forward: Callable[..., Any], predicted: Tensor, timestep: Any, latents: Tensor, **named: Any
    ) -> Any:
        """A scheduler's step; of a guided one the noise is put back, and it is done again."""
        rectifying = self.rectifying
        if rectifying is None or not rectifying.active:
            return forward(predicted, timestep, latents, **named)
        for _ in range(self.options.recurrence - 1):
            latents = self._renoised(predicted, timestep, latents, named)
            predicted = self._predicted(latents, timestep)
        return forward(predicted, timestep, latents, **named)

    def _with_residuals(self, states_RLD: Tensor) -> Tensor:
        if self.places is None or self.residual_TD is None or not self.options.strength:
            return states_RLD
        first = len(states_RLD) - self.pictures
        places = Places(self.places.row + first, self.places.token, self.places.offset)
        return with_offsets(states_RLD, places, self.options.strength * self.residual_TD)

    def _set(self, sample: Tensor) -> None:
        rectifying, clock = self.rectifying, self._clock
        if rectifying is None:
            return
        rectifying.begin(*sample.shape[-2:])
        rectifying.sigma, _ = self._sigmas()
        rectifying.active = self.options.guides(clock.step, clock.steps)

    def _sigmas(self) -> tuple[float, float]:
        """Of the present step and of the next."""
        clock, scheduler = self._clock, self.pipe.scheduler
        now, *then = (noise_over_signal(scheduler, time) for time in clock.times[clock.step : clock.step + 2])
        return now, (then[0] if then else 0.0)

    def _predicted(self, latents: Tensor, timestep: Any) -> Tensor:
        """Of other latents, with the pipeline's guidance."""
        assert self._again is not None
        guided = self.pipe.do_classifier_free_guidance
        rows = torch.cat([latents] * 2) if guided else latents
        found = self._again(self.pipe.scheduler.scale_model_input(rows, timestep))[0]
        if not guided:
            return found
        nothing, text = found.chunk(2)
        return nothing + self.pipe.guidance_scale * (text - nothing)

    def _renoised(self, predicted: Tensor, timestep: Any, latents: Tensor, named: Any) -> Tensor:
        """A step ahead, and back to this one's noise."""
        # A copy takes the step, so that what a scheduler remembers stays as it was.
        trial = deepcopy(self.pipe.scheduler)
        trial.__dict__.pop("step", None)
        ahead = trial.step(predicted, timestep, latents, **{**named, "return_dict": False})[0]
        noise = torch.stack([torch.randn(latents.shape[1:], generator=each) for each in self.generators]).to(
            latents
        )
        grows = hasattr(self.pipe.scheduler, "is_scale_input_called")
        return back_to(ahead, noise, *self._sigmas(), grows)


def noise_over_signal(scheduler: Any, timestep: float) -> float:
    """sigma: the ratio of both at a timestep, whatever a scheduler calls it."""
    kept = float(scheduler.alphas_cumprod[min(round(timestep), len(scheduler.alphas_cumprod) - 1)])
    return ((1 - kept) / max(kept, 1e-12)) ** 0.5


def back_to(ahead: Tensor, noise: Tensor, before: float, after: float, grows: bool) -> Tensor:
    """Latents one step ahead with as much noise as there was before it (section 3.3, appendix).

    Args:
        ahead: after the step.
        noise: standard normal.
        before: noise over signal before the step.
        after: the same after it.
        grows: whether latents grow with the noise, for schedulers that scale them for the UNet.
    """
    if grows:
        return ahead + max(0.0, before**2 - after**2) ** 0.5 * noise
    kept = (1 + after**2) / (1 + before**2)
    return kept**0.5 * ahead + (1 - kept) ** 0.5 * noise
