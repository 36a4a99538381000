# SPDX-License-Identifier: Apache-2.0
"""Times of two things in turn, so that a slow minute of the machine is in both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Self

from models.consistency.method import ConsistencyMethod, Sampling, Subject
from models.generation import TextToImage


@dataclass(frozen=True, slots=True)
class Bench:
    """A pipeline, how it samples, and how often things are measured."""

    pipe: Any
    sampling: Sampling
    rounds: int

    @classmethod
    def of(cls, model: str, device: str, rounds: int, steps: int) -> Self:
        """Latents are drawn, not pictures: the decoder is the same in all."""
        pipe = TextToImage(model=model, device=device).load()
        return cls(pipe, Sampling(steps=steps, guidance=5.0, output="latent"), rounds)

    @property
    def cuda(self) -> bool:
        """Whether its clock has to wait for a GPU."""
        return self.pipe.unet.device.type == "cuda"

    def memory(self) -> str:
        """GiB of the GPU at most since the last time, as a part of a line; empty without a GPU."""
        if not self.cuda:
            return ""
        import torch

        peak = torch.cuda.max_memory_reserved() / 2**30
        torch.cuda.reset_peak_memory_stats()
        return f", {peak:.1f} GiB at most"


def beside(bench: Bench, one: Callable[[], Any], other: Callable[[], Any]) -> list[tuple[float, float]]:
    """Seconds of both, once a round; a first round does not count."""
    times = [(_seconds(bench, one), _seconds(bench, other)) for _ in range(bench.rounds + 1)]
    return times[1:]


def _seconds(bench: Bench, work: Callable[[], Any]) -> float:
    _settle(bench)
    began = time.perf_counter()
    work()
    _settle(bench)
    return time.perf_counter() - began


def _settle(bench: Bench) -> None:
    if bench.cuda:
        import torch

        torch.cuda.synchronize()


def step_seconds(method: ConsistencyMethod, bench: Bench, subject: Subject) -> float:
    """The median of a tuning's steps, without the first ones.

    Args:
        method: with a `fit` that tells of its steps.
        bench: the pipeline.
        subject: to tune for.
    """
    ends: list[float] = []

    def tell(_done: int, _of: int, what: str) -> None:
        if what.startswith("tuning"):
            ends.append(time.perf_counter())

    method.fit(bench.pipe, subject, bench.sampling, tell)
    return median(after - before for before, after in pairwise(ends[1:]))
