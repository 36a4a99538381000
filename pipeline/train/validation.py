# SPDX-License-Identifier: Apache-2.0
"""The loss on samples that are always the same, with the same noise at the same timesteps."""

from __future__ import annotations

from typing import Any

import torch

from pipeline.train.config import TrainConfig
from pipeline.train.feed import Feed, Share
from pipeline.train.setup import Prepared, mixed
from pipeline.train.step import as_record, told
from pipeline.train.world import World


class Validation:
    """Looks at a model after a step, see `loop.Event`; the averaged weights if there are any."""

    def __init__(self, config: TrainConfig, prepared: Prepared, world: World) -> None:
        """
        Args:
            config: how many samples, and how they are computed.
            prepared: what is trained.
            world: the processes, which share the samples.
        """
        self._prepared, self._world, self._mixed = prepared, world, mixed(config, world.device)
        micro = (config.speed.micro_batch or config.batch // world.size) * world.size
        rounds = -(-config.watching.validation_samples // micro)
        # Each round is a step of its own; the last one may have more samples than were asked for.
        self._share, self._rounds = Share(micro, world.rank, world.size), rounds

    @torch.no_grad()
    def __call__(self, _step: int) -> dict[str, Any]:
        """The losses by name, with `validation_` before it."""
        prepared, world, device = self._prepared, self._world, self._world.device
        training, pieces = prepared.training, []
        feed = Feed(prepared.validation, prepared.collate, self._share, 0, 0, device)
        training.model.eval()
        with training.optimising.averaged():
            for _ in range(self._rounds):
                batch = next(feed)
                with torch.autocast(device.type, torch.bfloat16, enabled=self._mixed):
                    losses = training.model(prepared.asking(batch))
                pieces.append(told(losses, batch))
        return {f"validation_{name}": value for name, value in as_record(pieces, world.mean).items()}
