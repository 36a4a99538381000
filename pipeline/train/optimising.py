# SPDX-License-Identifier: Apache-2.0
"""One step of AdamW: learning rate, clipping, a guard against what is no number, and averaged weights."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.train.average import Average
from pipeline.train.config import Optimiser

_PATIENCE = 10
"""Steps in a row whose gradient may be no number."""


def learning_rate(options: Optimiser, step: int, steps: int) -> float:
    """Of a step, from 0: a linear warm-up, then constant, or a cosine down to 1 % at the end."""
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    if options.schedule == "constant":
        return options.lr
    after = (step - options.warmup) / max(1, steps - options.warmup)
    return options.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, after))))


class Optimising:
    """The optimiser of a model's trainable parameters and their average."""

    def __init__(self, parameters: Iterable[nn.Parameter], options: Optimiser, steps: int) -> None:
        """
        Args:
            parameters: those that are trained.
            options: how.
            steps: of the whole training.
        """
        self.parameters = [*parameters]
        self._options, self._steps, self._bad = options, steps, 0
        fused = self.parameters[0].is_cuda
        self.adamw = torch.optim.AdamW(
            self.parameters,
            options.lr,
            betas=options.betas,
            eps=options.eps,
            weight_decay=options.weight_decay,
            fused=fused or None,
            foreach=None if fused else True,
        )
        self.average = Average(self.parameters, options.ema) if options.ema else None

    def step(self, number: int) -> tuple[float, float]:
        """Change the weights and forget the gradients; returns the gradient's norm and the learning rate.

        A gradient that is no number changes nothing.

        Raises:
            UserError: that has happened ten times in a row.
        """
        lr = learning_rate(self._options, number, self._steps)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        norm = float(self._norm())
        if math.isfinite(norm):
            self._bad = 0
            self.adamw.step()
            if self.average is not None:
                self.average.step()
        else:
            self._bad += 1
        self.adamw.zero_grad(set_to_none=True)
        if self._bad == _PATIENCE:
            raise UserError(
                f"the gradient was no number in {_PATIENCE} steps up to {number}: lower optimiser.lr, or "
                "give speed.precision fp32; the weights are those of the last good step"
            )
        return norm, lr

    def _norm(self) -> torch.Tensor:
        norm = nn.utils.clip_grad_norm_(self.parameters, self._options.clip or math.inf)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # pyright: ignore

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While this lasts the model has the averaged weights, if there are any."""
        with self.average.instead() if self.average is not None else nullcontext():
            yield
