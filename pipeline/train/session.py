# SPDX-License-Identifier: Apache-2.0
"""A training from its newest checkpoint to its export, with all that is looked at on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.train.config import TrainConfig
from pipeline.train.finish import export
from pipeline.train.grid import SampleGrid
from pipeline.train.loop import Event, train
from pipeline.train.page import write_page
from pipeline.train.setup import prepare
from pipeline.train.shards import Shards
from pipeline.train.validation import Validation
from pipeline.train.world import World


def run_session(config: TrainConfig, run: Path, shards: Shards, world: World) -> int:
    """Train as far as it goes; returns how many steps are done.

    The page is written after each grid, and at the end; the export at the end of the whole training only.

    Raises:
        UserError: see `prepare` and `train`.
    """
    prepared = prepare(config, shards, world)
    watching = config.watching

    def page(_step: int) -> dict[str, Any]:
        if world.first:
            write_page(run, config.max_steps)
        return {}

    events = (
        Event(watching.validate_every, Validation(config, prepared, world)),
        Event(watching.sample_every, SampleGrid(config, run, prepared, world)),
        Event(watching.sample_every, page),
    )
    done = train(config, run, prepared, world, events)
    if done == config.max_steps:
        export(config, run, prepared, world)
    page(done)
    return done
