# SPDX-License-Identifier: Apache-2.0
"""The batches of a training in the order of its steps, made ahead of it by worker processes.

A batch is a pure function of its step, so neither the number of workers nor a resumption changes it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.loader_process import end_workers, stand_aside

Tensors = dict[str, Tensor]
"""A batch, by name."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a training runs."""

    device: str = "cpu"
    """As torch names it."""
    workers: int = 0
    """Processes that make batches; with 0 the training makes them itself."""

    @property
    def is_gpu(self) -> bool:
        """Whether the GPU's recipe is the one to follow."""
        return self.device.startswith("cuda")


class _Steps(Dataset[Tensors]):
    def __init__(self, draw: Callable[[int], Tensors]) -> None:
        self.draw = draw

    def __getitem__(self, index: int) -> Tensors:
        return self.draw(index)


class Feed:
    """Gives a step its batch; steps that follow one another find theirs ready."""

    def __init__(self, draw: Callable[[int], Tensors], end: int, machine: Machine) -> None:
        """
        Args:
            draw: makes the batch of a step, on the CPU.
            end: the step that none is made for any more.
            machine: where batches are made, and go.
        """
        self._dataset, self._end, self._machine = _Steps(draw), end, machine
        self._next, self._batches = -1, iter(())

    def __call__(self, step: int) -> Tensors:
        """The batch of a step, on the device."""
        if step != self._next:
            self.close()
            self._batches = self._from(step)
        self._next = step + 1
        device = self._machine.device
        return {name: value.to(device, non_blocking=True) for name, value in next(self._batches).items()}

    def close(self) -> None:
        """End the processes that make batches."""
        end_workers(self._batches)

    def _from(self, step: int) -> Iterator[Tensors]:
        workers = self._machine.workers
        loader = DataLoader(
            self._dataset,
            batch_size=None,
            sampler=range(step, self._end),
            num_workers=workers,
            worker_init_fn=stand_aside,
            prefetch_factor=4 if workers else None,
            pin_memory=self._machine.is_gpu,
        )
        return iter(loader)


def seeded(step: int, machine: Machine) -> torch.Generator:
    """A generator of the device, at the same place whenever a step is done."""
    return torch.Generator(machine.device).manual_seed(step)
