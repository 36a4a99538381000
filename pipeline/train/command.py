# SPDX-License-Identifier: Apache-2.0
"""What `train` does: the processes, a run's folder, and a session in it."""

from contextlib import nullcontext
from pathlib import Path

from pipeline.lease import Lease
from pipeline.train.config import TrainConfig
from pipeline.train.finish import exported_steps
from pipeline.train.identity import data_identity
from pipeline.train.run_folder import check_run, claim_run
from pipeline.train.session import run_session
from pipeline.train.setup import open_shards
from pipeline.train.world import joined


def train_subjects(config: TrainConfig, run: Path) -> int:
    """Train, or go on; returns the exit code, 0 also if the run was told to stop.

    Raises:
        UserError: bad configuration, weights, data, a run of something else, or one that is at it.
    """
    with joined() as world:
        shards = open_shards(config, config.split)
        data = data_identity(config, shards.sizes)
        if world.first:
            check_run(run, config, data)
        done = exported_steps(run)
        if done < config.max_steps:
            with Lease.take(run) if world.first else nullcontext():
                if world.first:
                    claim_run(run, config, data)
                world.wait()
                done = run_session(config, run, shards, world)
    if world.first:
        print(ended(run, done, config.max_steps))
    return 0


def ended(run: Path, done: int, steps: int) -> str:
    """A line about a run that has come to an end."""
    how = "done" if done >= steps else "stopped; the same command again goes on"
    return f"{done} of {steps} steps in {run}: {how}"
