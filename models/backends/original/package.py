# SPDX-License-Identifier: Apache-2.0
"""The authors' packages, which are installed with the extra `original` alone."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from models.backends.protocols import BackendError

if TYPE_CHECKING:
    import torch


class MissingPackage(BackendError):
    """A package that a backend runs is not installed, or cannot be imported."""


def imported(module: str) -> ModuleType:
    """A module of one of them.

    Raises:
        MissingPackage: it cannot be imported, with why.
    """
    try:
        return import_module(module)
    except (ImportError, RuntimeError, AttributeError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        package = module.partition(".")[0]
        check_installed(package)
        raise MissingPackage(
            f"{package} is installed and cannot be imported ({first}); it needs a torch and a torchvision "
            "that go with each other"
        ) from error


def check_installed(package: str) -> None:
    """See that a package is there, without importing it.

    Raises:
        MissingPackage: it is not.
    """
    if find_spec(package) is None:
        raise MissingPackage(
            f"{package} is not installed; install the extra: pip install 'subjectforge[original]'"
        )


def computing_in(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Their models take float32 weights only: lower precision is where torch's autocast puts it."""
    import torch

    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
