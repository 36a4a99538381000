# SPDX-License-Identifier: Apache-2.0
"""Which sampling step each call of a UNet belongs to, whatever the scheduler."""

from __future__ import annotations

from typing import Any


class Clock:
    """Counts calls; a scheduler of order n asks for n of them a step, but for the last step."""

    def __init__(self, scheduler: Any) -> None:
        """
        Args:
            scheduler: that has its timesteps by the first call.
        """
        self._scheduler = scheduler
        self.order = int(getattr(scheduler, "order", 1))
        self.calls = 0
        """So far, the present one included."""
        self.times: list[float] = []
        """Timestep of each step; there from the first call on."""

    def tick(self) -> None:
        """A call begins."""
        if not self.calls:
            # Once: on a GPU this waits for it.
            self._all = len(self._scheduler.timesteps)
            self.times = [float(time) for time in self._scheduler.timesteps.tolist()][:: self.order]
        self.calls += 1

    @property
    def step(self) -> int:
        """Of the present call, from 0."""
        return (self.calls - 1) // self.order

    @property
    def steps(self) -> int:
        """In all."""
        return len(self.times)

    @property
    def begins(self) -> bool:
        """Whether the present call is its step's first."""
        return (self.calls - 1) % self.order == 0

    @property
    def ends(self) -> bool:
        """Whether the present call is its step's last."""
        return self.calls % self.order == 0 or self.calls == self._all
