# SPDX-License-Identifier: Apache-2.0
"""What a stage's model field holds: the configuration of a backend, which loads to the model itself."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from stages.base import Stage

Model = TypeVar("Model", covariant=True)


class Backend(Protocol[Model]):
    """A frozen dataclass, cheap to build and to send; `load` brings the weights."""

    def check(self) -> None:
        """See that the weights can be had, without loading them; raises `MissingWeights` if not."""
        ...

    def load(self) -> Model:
        """The model, ready for use."""
        ...


def backends_of(stage: Stage) -> dict[str, Backend[Any]]:
    """The backends that a stage is configured with, by field.

    Those of stages within it, and in mappings, are named by the way to them, such as `detect.detector`.
    """
    found: dict[str, Backend[Any]] = {}
    for name, value in vars(stage).items():
        inside = {"": value} if hasattr(value, "load") else {}
        if isinstance(value, Stage):
            inside = {f".{field}": backend for field, backend in backends_of(value).items()}
        elif isinstance(value, Mapping):
            inside = {f".{key}": each for key, each in value.items() if hasattr(each, "load")}
        found |= {f"{name}{way}": backend for way, backend in inside.items()}
    return found


def check_weights(stages: Iterable[Stage]) -> None:
    """See that every backend's weights can be had from here.

    Raises:
        MissingWeights: naming the first that cannot.
    """
    for stage in stages:
        for backend in backends_of(stage).values():
            backend.check()
