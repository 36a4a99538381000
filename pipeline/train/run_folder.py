# SPDX-License-Identifier: Apache-2.0
"""Whose folder it is: a training's, known by what decides its weights, or nobody's."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import fingerprint
from pipeline.errors import UserError
from pipeline.train.checkpoint import checkpoints
from pipeline.train.config import TrainConfig
from pipeline.train.finish import exported_steps
from pipeline.train.metrics import last_metrics

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
    return bool(checkpoints(run) or exported_steps(run) or last_metrics(run))


def _plain(config: TrainConfig) -> Any:
    return json.loads(json.dumps(asdict(config)))


def _differing(before: Any, now: Any, path: str = "") -> list[str]:
    """Keys whose values are not the same."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = sorted({*before, *now})
        return [found for key in keys for found in _differing(before.get(key), now.get(key), f"{path}{key}.")]
    return [] if before == now else [path.rstrip(".") or "everything"]
