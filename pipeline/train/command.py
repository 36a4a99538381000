# SPDX-License-Identifier: Apache-2.0
"""What `train` does: a run's folder, the processes, and what is looked at on the way."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import fingerprint
from pipeline.errors import UserError
from pipeline.train.config import TrainConfig
from pipeline.train.identity import data_identity

_FILE = "run.json"


def claim_run(run: Path, config: TrainConfig, data: Mapping[str, Any]) -> None:
    """Make `run` the folder of this training, or see that it already is.

    Args:
        run: the folder.
        config: of the training.
        data: what the dataset is known by.

    Raises:
        UserError: it holds another training, with what differs, or something else, or cannot be written to.
    """
    identity = json.loads(json.dumps({**config.identity(), "data": dict(data)}))
    path = run / _FILE
    try:
        if path.exists():
            before = json.loads(path.read_text())["identity"]
            if before != identity:
                differ = ", ".join(_differing(before, identity))
                raise UserError(
                    f"{run} holds a run of another configuration (they differ in {differ}); "
                    "give another --output"
                )
            return
        if run.exists() and any(run.iterdir()):
            raise UserError(f"{run} is not empty, and holds no training; give another --output")
        run.mkdir(parents=True, exist_ok=True)
        (run / "config.yaml").write_text(yaml.safe_dump(_plain(config), sort_keys=False))
        about = {"fingerprint": fingerprint(identity), "identity": identity}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(about, indent=1) + "\n")
        partial.rename(path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot use {run} as a run's folder: {error}; give another --output") from error


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
        UserError: bad configuration, weights, data, or a run of something else.
    """
    from pipeline.train.finish import exported_steps
    from pipeline.train.session import run_session
    from pipeline.train.setup import open_shards
    from pipeline.train.world import joined

    with joined() as world:
        shards = open_shards(config, config.split)
        if world.first:
            claim_run(run, config, data_identity(config, shards.sizes))
        world.wait()
        done = exported_steps(run)
        if done < config.max_steps:
            done = run_session(config, run, shards, world)
    if world.first:
        print(ended(run, done, config.max_steps))
    return 0


def ended(run: Path, done: int, steps: int) -> str:
    """A line about a run that has come to an end."""
    how = "done" if done >= steps else "stopped; the same command again goes on"
    return f"{done} of {steps} steps in {run}: {how}"
