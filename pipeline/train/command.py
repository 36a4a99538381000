# SPDX-License-Identifier: Apache-2.0
"""What `train` does: a run's folder, the processes, and what is looked at on the way."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import fingerprint
from pipeline.errors import UserError
from pipeline.lease import Lease
from pipeline.train.config import TrainConfig
from pipeline.train.identity import data_identity

_FILE = "run.json"
_BEFORE = {"_meta", "config.yaml", "run.partial", "ray", "stop"}
"""What may be in a run's folder before it is one."""


def check_run(run: Path, config: TrainConfig, data: Mapping[str, Any]) -> None:
    """See that `run` can be, or is, the folder of this training.

    Raises:
        UserError: it holds another training that has begun, with what differs, or something else.
    """
    try:
        before = _identity_of(run)
        if before is None and run.exists() and (foreign := {path.name for path in run.iterdir()} - _BEFORE):
            raise UserError(
                f"{run} is not empty ({min(foreign)}), and holds no training; give another --output"
            )
        now = _identity(config, data)
        if before not in (None, now) and _has_begun(run):
            differ = ", ".join(_differing(before, now))
            raise UserError(
                f"{run} holds a run of another configuration (they differ in {differ}); give another --output"
            )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot use {run} as a run's folder: {error}; give another --output") from error


def claim_run(run: Path, config: TrainConfig, data: Mapping[str, Any]) -> None:
    """Make `run` the folder of this training, if it is not.

    A training that has not done its first step, for want of weights for instance, keeps nobody out.

    Args:
        run: the folder.
        config: of the training.
        data: what the dataset is known by.

    Raises:
        UserError: see `check_run`; or it cannot be written to.
    """
    check_run(run, config, data)
    identity, path = _identity(config, data), run / _FILE
    try:
        if _identity_of(run) == identity:
            return
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.yaml").write_text(yaml.safe_dump(_plain(config), sort_keys=False))
        about = {"fingerprint": fingerprint(identity), "identity": identity}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(about, indent=1) + "\n")
        partial.rename(path)
    except OSError as error:
        raise UserError(f"cannot use {run} as a run's folder: {error}; give another --output") from error


def _identity(config: TrainConfig, data: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps({**config.identity(), "data": dict(data)}))


def _identity_of(run: Path) -> Any:
    """Of the training whose folder it is; None if it is nobody's."""
    path = run / _FILE
    return json.loads(path.read_text())["identity"] if path.exists() else None


def _has_begun(run: Path) -> bool:
    """Whether there is something that another training would spoil."""
    from pipeline.train.checkpoint import checkpoints
    from pipeline.train.finish import exported_steps
    from pipeline.train.metrics import last_metrics

    return bool(checkpoints(run) or exported_steps(run) or last_metrics(run))


def _plain(config: TrainConfig) -> Any:
    from dataclasses import asdict

    return json.loads(json.dumps(asdict(config)))


def _differing(before: Any, now: Any, path: str = "") -> list[str]:
    """Keys whose values are not the same."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted({*before, *now})
        return [found for key in keys for found in _differing(before.get(key), now.get(key), f"{path}{key}.")]
    return [] if before == now else [path.rstrip(".") or "everything"]


def train_subjects(config: TrainConfig, run: Path) -> int:
    """Train, or go on; returns the exit code, 0 also if the run was told to stop.

    Raises:
        UserError: bad configuration, weights, data, a run of something else, or one that is at it.
    """
    from pipeline.train.finish import exported_steps
    from pipeline.train.session import run_session
    from pipeline.train.setup import open_shards
    from pipeline.train.world import joined

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
