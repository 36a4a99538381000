# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as their authors published them: one file of named tensors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from models.backends.protocols import MissingWeights

if TYPE_CHECKING:
    from torch import Tensor

Weights = Mapping[str, "Tensor"]
_WITHIN = ("model", "state_dict", "model_state_dict")
"""Where trainers put the tensors."""


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` or `.safetensors` file, by the authors' names, on the CPU.

    Nothing but tensors is read: a file that needs more to be unpickled is refused.

    Raises:
        MissingWeights: there is no such file, or it is no such checkpoint.
    """
    place = check_checkpoint(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = _told(place)
    except UnpicklingError as error:
        raise MissingWeights(
            f"{place} is no file of tensors alone, and nothing else is unpickled; if you trust it, load it "
            "yourself and save its state dict by itself"
        ) from error
    except Exception as error:  # damaged files raise anything
        raise MissingWeights(
            f"{place} cannot be read as a checkpoint ({type(error).__name__}): damaged, cut off, or another "
            "kind of file; get it again"
        ) from error
    for name in _WITHIN:
        if isinstance(told, Mapping) and isinstance(told.get(name), Mapping):
            told = told[name]
    tensors = _tensors(told)
    if not tensors:
        raise MissingWeights(f"{place} holds no tensors by name; give the authors' checkpoint")
    return tensors


def check_checkpoint(path: str | Path) -> Path:
    """See that there is such a file.

    Raises:
        MissingWeights: there is not.
    """
    if not str(path):
        raise MissingWeights("no checkpoint is given; set `model` to the path of a .pth or .safetensors file")
    place = Path(path).expanduser()
    if not place.is_file():
        raise MissingWeights(f"no checkpoint {path}; give the path of a .pth or .safetensors file")
    return place


def _told(place: Path) -> Any:
    if place.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(place)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
    import torch

    return torch.load(place, map_location="cpu", weights_only=True)


def _tensors(told: Any) -> dict[str, Tensor]:
    """Without the prefix that data-parallel training leaves."""
    import torch

    if not isinstance(told, Mapping):
        return {}
    found = {str(name): each for name, each in told.items() if isinstance(each, torch.Tensor)}
    return {name.removeprefix("module."): each for name, each in found.items()}


def count_of(weights: Weights, begin: str) -> int:
    """How many numbered parts there are, such as `layers.0.` and `layers.1.` for `layers.`."""
    numbered = re.compile(rf"{re.escape(begin)}(\d+)\.")
    found = {int(match[1]) for name in weights if (match := numbered.match(name))}
    return max(found, default=-1) + 1


def size_of(weights: Weights, name: str, axis: int = 0) -> int:
    """Of a tensor's axis.

    Raises:
        MissingWeights: there is no such tensor.
    """
    if name not in weights or weights[name].ndim <= axis or not weights[name].shape[axis]:
        raise MissingWeights(f"the checkpoint has no {name}; it is of another model")
    return int(weights[name].shape[axis])


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """What is wrong with a checkpoint's weights is told with its path.

    Raises:
        MissingWeights: what the block raised.
    """
    try:
        yield
    except MissingWeights as error:
        raise MissingWeights(f"{path}: {error}") from error
