# SPDX-License-Identifier: Apache-2.0
"""The batches of a process in the order of its steps, made ahead by worker processes, and how long the
training waited for them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from models.loader_process import end_workers, stand_aside
from pipeline.errors import UserError
from pipeline.train.batch import Batch, Collate
from pipeline.train.order import batch_positions
from pipeline.train.samples import Sample, Samples


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of each step's batch is a process's own, and in which pieces it is computed."""

    batch: int
    """Samples of a step, all processes together."""
    rank: int = 0
    world: int = 1
    micro: int | None = None
    """Samples of a piece; all of the process's share if not given."""

    @property
    def pieces(self) -> int:
        """Of a step, in each process."""
        return self.batch // self.world // self.size

    @property
    def size(self) -> int:
        """Samples of a piece."""
        return self.micro or self.batch // self.world

    def check(self) -> None:
        """See that it can be shared out.

        Raises:
            ValueError: if the pieces do not make the batch.
        """
        if self.batch % self.world or self.batch % (self.world * self.size):
            raise ValueError(
                f"a batch of {self.batch} is no multiple of {self.world} processes times {self.size} samples"
            )


class _Pieces(Sampler[list[int]]):
    """Positions of the pieces of all steps from one on, for ever."""

    def __init__(self, share: Share, step: int) -> None:
        self._share, self._step = share, step

    def __iter__(self) -> Iterator[list[int]]:
        share, step = self._share, self._step
        while True:
            positions = [*batch_positions(step, share.batch, share.rank, share.world)]
            yield from (positions[at : at + share.size] for at in range(0, len(positions), share.size))
            step += 1


class _Told(Dataset[Sample | UserError]):
    """Errors as values: on its way out of a worker an exception's one line becomes a page."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, position: int) -> Sample | UserError:
        try:
            return self.samples[position]
        except UserError as error:
            return error


@dataclass(frozen=True, slots=True)
class _Collate:
    collate: Collate

    def __call__(self, samples: Sequence[Sample | UserError]) -> Batch | UserError:
        errors = [sample for sample in samples if isinstance(sample, UserError)]
        whole = [sample for sample in samples if isinstance(sample, Sample)]
        return errors[0] if errors else self.collate(whole)


class Feed:
    """Gives one piece after another, on the device."""

    def __init__(
        self, samples: Samples, collate: Collate, share: Share, step: int, workers: int, device: torch.device
    ) -> None:
        """
        Args:
            samples: by position.
            collate: makes batches of them.
            share: of this process.
            step: to begin with.
            workers: processes that make batches ahead; with 0 the training makes them itself.
            device: where they go.
        """
        share.check()
        self.waited = 0.0
        """Seconds spent waiting for batches so far."""
        self._device = device
        self._pieces = iter(
            DataLoader(
                _Told(samples),
                batch_sampler=_Pieces(share, step),
                num_workers=workers,
                collate_fn=_Collate(collate),
                worker_init_fn=stand_aside,
                pin_memory=device.type == "cuda",
                prefetch_factor=4 if workers else None,
                multiprocessing_context="spawn" if workers and device.type == "cuda" else None,
            )
        )

    def __next__(self) -> Batch:
        """The next piece.

        Raises:
            UserError: see `Samples`; from a worker too.
        """
        began = time.perf_counter()
        batch = next(self._pieces)
        self.waited += time.perf_counter() - began
        if isinstance(batch, UserError):
            raise batch
        return batch.to(self._device)

    def close(self) -> None:
        """End the workers; there is no next piece then."""
        end_workers(self._pieces)
