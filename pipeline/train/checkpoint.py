# SPDX-License-Identifier: Apache-2.0
"""A training's state on disk: whole or not there, readable without pickle, and by any number of processes.

`checkpoints/step-00000020` holds `model`, `optimiser` and `average` as safetensors and `state.json`; of the
data it holds one integer, the number of steps that are done.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as distributed

from models.file_mode import as_usual
from pipeline.errors import UserError
from pipeline.train.optimising import Optimising
from pipeline.train.world import World

_WHOLE = distributed.StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Training:
    """What has a state."""

    model: nn.Module
    """As it is wrapped for several processes."""
    optimising: Optimising


def checkpoints(run: Path) -> list[Path]:
    """Of a run, the oldest first."""
    return sorted((run / "checkpoints").glob("step-*[0-9]"))


def save(run: Path, step: int, training: Training, keep: int, world: World) -> None:
    """Write the state after `step` steps; every process takes part, the first one writes.

    Args:
        run: the run's folder.
        step: how many are done.
        training: what has a state.
        keep: how many checkpoints stay.
        world: the processes.

    Raises:
        UserError: it cannot be written.
    """
    parts = _parts(training)
    if world.first:
        try:
            _write(run, step, parts, training, keep)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"cannot save step {step} in {run}: {error}; the last checkpoint is whole"
            ) from error
    world.wait()


def _write(
    run: Path, step: int, parts: Mapping[str, dict[str, Tensor]], training: Training, keep: int
) -> None:
    folder = run / "checkpoints" / f"step-{step:08d}"
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, tensors in parts.items():
        save_file(tensors, partial / f"{name}.safetensors")
        as_usual(partial / f"{name}.safetensors")
    average = training.optimising.average
    state = {"step": step, "average_steps": None if average is None else average.steps}
    (partial / "state.json").write_text(json.dumps(state, indent=1) + "\n")
    for file in partial.iterdir():
        _flush(file)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    _flush(folder.parent)
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)


def restore(run: Path, training: Training) -> int:
    """Bring back the newest state; returns how many steps are done, 0 if there is no checkpoint.

    Raises:
        UserError: the checkpoint is damaged, or of another model.
    """
    found = checkpoints(run)
    if not found:
        return 0
    folder = found[-1]
    try:
        state = json.loads((folder / "state.json").read_text())
        parts = {file.stem: load_file(file) for file in folder.glob("*.safetensors")}
        _put(training, parts, state["average_steps"])
        return int(state["step"])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"cannot go on from {folder}: {first}; if it is damaged, remove it: the run goes on from the one "
            "before"
        ) from error


def whole_model(training: Training) -> dict[str, Tensor]:
    """The trained weights by name, on the CPU, in the first process; every process takes part."""
    found = distributed.get_model_state_dict(training.model, options=_WHOLE)
    return {name: _plain(value) for name, value in found.items() if isinstance(value, Tensor)}


def _flush(path: Path) -> None:
    """See that a file's bytes, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Tensor) -> Tensor:
    """A gate is one number, also where it had to be a row of one to be shared out."""
    return value.reshape(()).clone() if value.shape == (1,) else value.contiguous().clone()


def _parts(training: Training) -> dict[str, dict[str, Tensor]]:
    optimising, parts = training.optimising, {"model": whole_model(training)}
    moments = _optimiser_state(training, _WHOLE).get("state", {})
    parts["optimiser"] = {
        f"{name}{_SEPARATOR}{kind}": _plain(value)
        for name, each in moments.items()
        for kind, value in each.items()
    }
    if optimising.average is not None:
        with optimising.averaged():
            parts["average"] = whole_model(training)
    return parts


def _optimiser_state(
    training: Training, options: distributed.StateDictOptions | None = None
) -> dict[str, Any]:
    found: Any = distributed.get_optimizer_state_dict(
        training.model, training.optimising.adamw, options=options
    )
    return found


def _put(training: Training, parts: Mapping[str, dict[str, Tensor]], average_steps: int) -> None:
    optimising, average = training.optimising, training.optimising.average
    if average is not None:
        _put_model(training, parts["average"])
        average.take(int(average_steps))
    _put_model(training, parts["model"])
    shapes = _shapes(training)
    moments: dict[str, dict[str, Tensor]] = {}
    for name, value in parts["optimiser"].items():
        parameter, kind = name.split(_SEPARATOR)
        shape = value.shape if kind == "step" else shapes[parameter]
        moments.setdefault(parameter, {})[kind] = value.reshape(shape)
    whole = {**_optimiser_state(training), "state": moments}
    distributed.set_optimizer_state_dict(training.model, optimising.adamw, whole, options=_WHOLE)


def _put_model(training: Training, tensors: Mapping[str, Tensor]) -> None:
    shapes = _shapes(training)
    if different := sorted(shapes.keys() ^ tensors.keys()):
        raise ValueError(f"it is of another model, for instance in {different[0]}")
    # Frozen parts are not in it, and stay as they are.
    options = distributed.StateDictOptions(full_state_dict=True, cpu_offload=True, strict=False)
    shaped: dict[str, Any] = {name: value.reshape(shapes[name]) for name, value in tensors.items()}
    distributed.set_model_state_dict(training.model, shaped, options=options)


def _shapes(training: Training) -> dict[str, torch.Size]:
    """Of the trained parameters, by the name that they have without a wrapper."""
    return {
        name.removeprefix("module."): parameter.shape
        for name, parameter in training.model.named_parameters()
        if parameter.requires_grad
    }
