# SPDX-License-Identifier: Apache-2.0
"""The same training with its processes started by Ray Train, on this machine or on a cluster."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.errors import UserError
from pipeline.progress import shown
from pipeline.run_ray import RayOptions, connect
from pipeline.ticker import Ticker
from pipeline.train.command import ended
from pipeline.train.config import TrainConfig
from pipeline.train.identity import data_identity
from pipeline.train.loop import told_of
from pipeline.train.metrics import last_metrics
from pipeline.train.run_folder import check_run
from pipeline.train.setup import open_shards
from pipeline.train.world import STOP

_LOOK = 5.0
"""Seconds between two looks at the record."""
_RESTARTS = 5
"""Times that lost processes are started again, from the last checkpoint."""


def train_on_ray(config: TrainConfig, run: Path, processes: int, address: str | None) -> int:
    """Train, or go on; returns the exit code.

    Args:
        config: of the training.
        run: its folder; on a cluster one that all machines see under this name.
        processes: that train.
        address: of the cluster; a local one if not given.

    Raises:
        UserError: see `train_subjects`, or the cluster cannot be reached or has too little.
    """
    check_run(run, config, data_identity(config, open_shards(config, config.split).sizes))
    connect(RayOptions(address))
    import ray

    try:
        there = ray.cluster_resources()
        gpu = there.get("GPU", 0) >= processes
        _check_room(config, processes, there)
        with _stopping(run), _watching(run, config.max_steps):
            _fit_again(config.absolute(), run.absolute(), processes, gpu)
    finally:
        ray.shutdown()
    return 0


def _check_room(config: TrainConfig, processes: int, there: Mapping[str, float]) -> None:
    wanted, found = processes * config.speed.threads, there.get("CPU", 0.0)
    if wanted > found:
        raise UserError(
            f"{processes} processes with speed.threads {config.speed.threads} need {wanted} CPUs; "
            f"the cluster has {found:g}; lower one of them"
        )


def _fit_again(config: TrainConfig, run: Path, processes: int, gpu: bool) -> None:
    """Until it is done; a mistake of a person is not repeated, which Ray's own way of trying again would."""
    for attempt in range(_RESTARTS + 1):
        try:
            return _fit(config, run, processes, gpu)
        except UserError:
            raise
        except Exception as error:
            if attempt == _RESTARTS:
                raise
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            print(f"subjectforge: lost processes ({first}); going on from the last checkpoint", flush=True)
    return None


def _fit(config: TrainConfig, run: Path, processes: int, gpu: bool) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _process,
        train_loop_config={"config": config, "run": str(run)},
        scaling_config=ScalingConfig(
            num_workers=processes, use_gpu=gpu, resources_per_worker=_share(config, gpu)
        ),
        run_config=RunConfig(
            name=run.name, storage_path=str(run / "ray"), failure_config=FailureConfig(max_failures=0)
        ),
    )
    try:
        trainer.fit()
    except Exception as error:
        told = re.search(rf"{UserError.__name__}: (.+)", str(error))
        if told is None:
            raise
        raise UserError(told[1]) from error


def _share(config: TrainConfig, gpu: bool) -> dict[str, float]:
    return {"CPU": config.speed.threads, **({"GPU": 1} if gpu else {})}


def _process(told: dict[str, Any]) -> None:
    """What each process does; Ray Train has told the environment who is who."""
    from pipeline.train.command import train_subjects

    train_subjects(told["config"], Path(told["run"]))


@contextmanager
def _watching(run: Path, steps: int) -> Iterator[None]:
    """Show how far the run is by its record: what the processes print stays where they are."""
    last: dict[str, Any] = {}
    with shown(steps, about=lambda: told_of(last) if last else "", unit="step") as show:

        def look() -> None:
            if line := last_metrics(run):
                last.update(line)
                show(last["step"], steps)

        with Ticker(_LOOK, look):
            yield
        look()
    print(ended(run, last.get("step", 0), steps))


@contextmanager
def _stopping(run: Path) -> Iterator[None]:
    """SIGTERM to this process asks the others for an end, by a file in the run's folder."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        (run / STOP).touch()

    # One that was left by a driver that was killed.
    (run / STOP).unlink(missing_ok=True)
    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        (run / STOP).unlink(missing_ok=True)
