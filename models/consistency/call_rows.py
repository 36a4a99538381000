# SPDX-License-Identifier: Apache-2.0
"""What a UNet's call is given, with other rows: half of them, or some once more."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def with_rows(each: Any, rows: int, change: Callable[[Tensor], Tensor]) -> Any:
    """The same with every tensor changed that has a row a picture, in whatever they are held.

    Args:
        each: a tensor, a mapping or sequence of such things, or anything else, which is left alone.
        rows: of the call.
        change: makes other rows of these.
    """
    if isinstance(each, Tensor):
        return change(each) if each.ndim and len(each) == rows else each
    if isinstance(each, Mapping):
        return {name: with_rows(value, rows, change) for name, value in each.items()}
    if isinstance(each, (list, tuple)):
        return type(each)(with_rows(value, rows, change) for value in each)
    return each
