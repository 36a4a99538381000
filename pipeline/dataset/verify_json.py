# SPDX-License-Identifier: Apache-2.0
"""A JSON value against the typed value that it stands for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from stages.extra_columns import is_any_list


def differences(name: str, found: Any, value: Any, kind: pa.DataType) -> Iterator[str]:
    """Where a JSON value and a column's value differ; numbers must be equal to the last bit.

    Args:
        name: of the column, goes into the answers.
        found: in the JSON.
        value: in the parquet; null stands for `""`, -1 or an empty list (for null in `clip_sim`).
        kind: the column's type.
    """
    if pa.types.is_struct(kind):
        yield from _struct_differences(name, found, value, kind)
    elif is_any_list(kind):
        yield from _list_differences(name, found, value or [], kind)
    elif not _same(name, found, value, kind):
        yield f"{name} is {found!r} in the json, {value!r} in the parquet"


def _struct_differences(name: str, found: Any, value: Any, kind: pa.DataType) -> Iterator[str]:
    fields = [kind.field(index) for index in range(kind.num_fields)]
    if not isinstance(found, dict) or set(found) != {field.name for field in fields}:
        yield f"{name} has other fields in the json"
        return
    for field in fields:
        yield from differences(
            f"{name}.{field.name}", found[field.name], (value or {}).get(field.name), field.type
        )


def _list_differences(name: str, found: Any, value: list[Any], kind: pa.DataType) -> Iterator[str]:
    if not isinstance(found, list) or len(found) != len(value):
        yield f"{name} has another length in the json"
        return
    for index, (one, other) in enumerate(zip(found, value, strict=True)):
        yield from differences(f"{name}[{index}]", one, other, kind.value_type)


def _same(name: str, found: Any, value: Any, kind: pa.DataType) -> bool:
    if value is None and name.endswith(".clip_sim"):
        return found is None
    if pa.types.is_float64(kind):
        return type(found) is float and found == (-1 if value is None else value)
    if pa.types.is_floating(kind):
        return type(found) is float and np.float32(found) == np.float32(-1 if value is None else value)
    if pa.types.is_boolean(kind):
        return found is bool(value)
    if pa.types.is_integer(kind):
        return type(found) is int and found == (-1 if value is None else value)
    return type(found) is str and found == (value or "")
