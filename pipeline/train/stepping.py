# SPDX-License-Identifier: Apache-2.0
"""One step: pieces of the batch forward and backward, then the optimiser."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from pipeline.train.batch import Batch
from pipeline.train.feed import Feed
from pipeline.train.parallel import accumulating
from pipeline.train.peak import counted_flops, peak_flops
from pipeline.train.setup import Prepared
from pipeline.train.step import as_record, gates, opening, told
from pipeline.train.world import World


class Stepping:
    """Does a training's steps and tells what there is to record of each."""

    def __init__(self, prepared: Prepared, world: World, feed: Feed, pieces: int, mixed: bool) -> None:
        """
        Args:
            prepared: what is trained.
            world: the processes.
            feed: gives the pieces.
            pieces: of a step, in this process.
            mixed: whether to compute in bfloat16.
        """
        self._prepared, self._world, self._feed, self._pieces = prepared, world, feed, pieces
        self._mixed, self._gates = mixed, gates(prepared.model.unet)
        self.flops: float | None = None
        """Of a step of this process, known after the first where the device's peak is."""
        self._skipped: Counter[str] = Counter()
        """Samples of this process that were replaced in a step, by reason."""

    def __call__(self, number: int) -> dict[str, Any]:
        """Do a step, from 0.

        Raises:
            UserError: see `Optimising.step` and `Samples`.
        """
        training = self._prepared.training
        training.model.train()
        self._skipped.clear()
        counting = self.flops is None and peak_flops(self._world.device) is not None
        with counted_flops() if counting else nullcontext() as counter:
            pieces = [self._piece(piece == self._pieces - 1) for piece in range(self._pieces)]
        if counter is not None:
            self.flops = float(counter.get_total_flops())
        # Read before the optimiser is launched, so that a GPU goes on while the next batch is fetched.
        values = {**as_record(pieces, self._world.mean), "gate": opening(self._gates)}
        norm, lr = training.optimising.step(number)
        replaced = self._world.counted(self._skipped)
        why = {"replaced_why": dict(replaced)} if replaced else {}
        return {**values, "gradient_norm": norm, "lr": lr, "replaced": replaced.total(), **why}

    def _piece(self, last: bool) -> Tensor:
        batch: Batch = next(self._feed)
        self._skipped.update(batch.skipped)
        module, device = self._prepared.training.model, self._world.device
        noisy = self._prepared.asking(batch)
        with accumulating(module, last):
            with torch.autocast(device.type, torch.bfloat16, enabled=self._mixed):
                losses = module(noisy)
            (losses.total / self._pieces).backward()
        return told(losses, batch)
