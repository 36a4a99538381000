# SPDX-License-Identifier: Apache-2.0
"""Columns that stages of other packages add: a dataset keeps them without knowing what they mean."""

import pyarrow as pa
import pyarrow.types as kinds

from stages.columns import IMAGE, LOGGED, RAW, SAMPLE

_KNOWN = {*SAMPLE.names, *RAW.names, *IMAGE.names, "detections"}
_PLAIN = (
    *(kinds.is_boolean, kinds.is_integer, kinds.is_floating),
    *(kinds.is_string, kinds.is_large_string, kinds.is_string_view),
)
_LISTS = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)


def extra_columns(schema: pa.Schema) -> pa.Schema:
    """The columns of a table that no stage of ours knows, in the table's order.

    All may be null: a row that was lost before its turn came has none of them.
    """
    fields = [field for field in schema if field.name not in _KNOWN and not field.name.startswith(LOGGED)]
    return pa.schema([pa.field(field.name, field.type) for field in fields])


def json_columns(schema: pa.Schema) -> pa.Schema:
    """The columns with a form in JSON: booleans, numbers, text, and lists and structs of these."""
    return pa.schema([field for field in schema if _has_json_form(field.type)])


def _has_json_form(kind: pa.DataType) -> bool:
    if is_any_list(kind):
        return _has_json_form(kind.value_type)
    if kinds.is_struct(kind):
        return all(_has_json_form(kind.field(index).type) for index in range(kind.num_fields))
    return any(is_plain(kind) for is_plain in _PLAIN)


def is_any_list(kind: pa.DataType) -> bool:
    """Whether it is a list, whatever its length and the width of its offsets."""
    return any(is_list(kind) for is_list in _LISTS)
