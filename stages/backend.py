# SPDX-License-Identifier: Apache-2.0
"""What a stage's model field holds: the configuration of a backend, which loads to the model itself."""

from collections.abc import Iterable
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
    """The backends that a stage is configured with, by field."""
    return {name: value for name, value in vars(stage).items() if hasattr(value, "load")}


def check_weights(stages: Iterable[Stage]) -> None:
    """See that every backend's weights can be had from here.

    Raises:
        MissingWeights: naming the first that cannot.
    """
    for stage in stages:
        for backend in backends_of(stage).values():
            backend.check()
