# SPDX-License-Identifier: Apache-2.0
"""What a stage's model field holds: the configuration of a backend, which loads to the model itself."""

from typing import Protocol, TypeVar

Model = TypeVar("Model", covariant=True)


class Backend(Protocol[Model]):
    """A frozen dataclass, cheap to build and to send; `load` brings the weights."""

    def load(self) -> Model:
        """The model, ready for use."""
        ...
