# SPDX-License-Identifier: Apache-2.0
"""The three packages have plain names; make sure that ours are the ones that are imported."""

from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import UserError

_HOME = Path(__file__).resolve().parents[1]


def check_packages() -> None:
    """See that `models` and `stages` are the neighbours of this package.

    Raises:
        UserError: naming the package that stands in the way and the one that was meant.
    """
    for name in ("models", "stages"):
        spec = find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != _HOME / name:
            raise UserError(
                f"'{name}' is imported from {found}, not from {_HOME / name}: another package of this name "
                "comes first on the path; remove it from PYTHONPATH or start elsewhere"
            )
