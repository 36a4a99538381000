# SPDX-License-Identifier: Apache-2.0
"""The processes of a training: `torchrun` and Ray Train start them and say who is who in the environment."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from pipeline.errors import UserError

STOP = "stop"
"""A file in a run's folder that asks for an end, where no signal arrives."""
_PATIENCE = timedelta(minutes=30)
"""For the others to come to the same place."""


@dataclass
class World:
    """This process among the others."""

    device: torch.device
    rank: int = 0
    size: int = 1
    told: Any = None
    """Processes on the CPU, for what is to be agreed without the GPU's queue."""
    asked: bool = field(default=False, init=False)
    """Whether somebody has asked this process for an end."""
    signalled: bool = field(default=True, init=False)
    """Whether signals arrive here; where they do not, a file in the run's folder asks for an end."""

    @property
    def first(self) -> bool:
        """Whether this process writes files and tells of progress."""
        return self.rank == 0

    def stopping(self, run: Path) -> bool:
        """Whether any process was asked for an end; all are told the same at the same step."""
        asked = self.asked or (not self.signalled and self.first and (run / STOP).exists())
        if self.size == 1:
            return asked
        flag = torch.tensor(int(asked))
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.told)
        return bool(flag)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Of float64 numbers of every process, on the CPU."""
        if self.size == 1:
            return values
        dist.all_reduce(values, group=self.told)
        return values / self.size

    def counted(self, counts: Counter[str]) -> Counter[str]:
        """Of every process, together."""
        if self.size == 1:
            return counts
        total = torch.tensor(counts.total())
        dist.all_reduce(total, group=self.told)
        several: list[Any] = [None] * self.size
        if total:
            dist.all_gather_object(several, dict(counts), group=self.told)
        return sum((Counter(each) for each in several), Counter())

    def wait(self) -> None:
        """For all processes."""
        if self.size > 1:
            dist.barrier(group=self.told)


@contextmanager
def joined() -> Iterator[World]:
    """The world that the environment tells of; alone if it tells of none.

    SIGTERM asks for an end, and so does Ctrl-C; that a second time ends it at once.

    Raises:
        UserError: there are more processes on this machine than GPUs.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    device = _device(int(os.environ.get("LOCAL_RANK", 0)))
    ours = size > 1 and not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    world = World(device, rank, size, dist.new_group(backend="gloo", timeout=_PATIENCE) if size > 1 else None)
    try:
        with _listening(world):
            yield world
    finally:
        if ours:
            dist.destroy_process_group()


def _device(local_rank: int) -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise UserError(
            f"process {local_rank} of this machine finds {torch.cuda.device_count()} GPUs; start one for each"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


@contextmanager
def _listening(world: World) -> Iterator[None]:
    def ask(number: int, _frame: FrameType | None) -> None:
        if world.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        world.asked = True

    try:
        before = {kind: signal.signal(kind, ask) for kind in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # Ray Train's loops run in a thread
        world.signalled = False
        yield
        return
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
