# SPDX-License-Identifier: Apache-2.0
"""The running average of trained weights; each process keeps that of the part it has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Exponential, and quicker at the start, so that the first weights are soon forgotten."""

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        """
        Args:
            parameters: what is averaged; they are not kept whole where processes share them.
            decay: in [0, 1), of a step when many are done.
        """
        self.steps = 0
        self._parameters, self._decay = parameters, decay
        self._shadows = [_own(parameter).clone() for parameter in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Take the weights of a step in."""
        self.steps += 1
        decay = min(self._decay, self.steps / (9 + self.steps))
        torch._foreach_lerp_(self._shadows, [_own(parameter) for parameter in self._parameters], 1 - decay)

    @torch.no_grad()
    def take(self, steps: int) -> None:
        """Begin with the parameters' present values, as the average of so many steps."""
        self.steps = steps
        for shadow, parameter in zip(self._shadows, self._parameters, strict=True):
            shadow.copy_(_own(parameter))

    @contextmanager
    def instead(self) -> Iterator[None]:
        """While this lasts the parameters are the average."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        # One after another, so that no third copy of the weights is needed.
        for shadow, parameter in zip(self._shadows, self._parameters, strict=True):
            own = _own(parameter)
            kept = own.clone()
            own.copy_(shadow)
            shadow.copy_(kept)


def _own(parameter: nn.Parameter) -> Tensor:
    """This process's part of a parameter, sharing its memory."""
    whole: Any = parameter.detach()
    return whole.to_local() if hasattr(whole, "to_local") else whole
