# SPDX-License-Identifier: Apache-2.0
"""A row of the table as the four members of a sample: `jpg`, `json`, `png`, `txt`.

The json has the same fields of the same types in every sample, because readers infer types from the
first few: what is unknown is `""`, -1 or an empty list. Null are only `clip_sim`, in all samples of a
dataset that was built without CLIP, and `extra`, in all samples of a dataset without such columns.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from stages.columns import SAMPLE, SCHEMA_VERSION
from stages.extra_columns import extra_columns, is_any_list, json_columns
from stages.shard.label_map import encode_png, label_map

Row = dict[str, Any]
MEMBERS = ("jpg", "json", "png", "txt")
COPIED = (
    *("key", "source_key", "url", "sha256", "status", "caption", "alt_text", "source_meta", "reencoded"),
    *("width", "height", "original_width", "original_height", "nouns", "entities"),
)
"""Columns that are in the json under their own names."""

_UNKNOWN_IS_NULL = ("clip_sim",)


def members_of(row: Row, image: bytes | None, extra: Row | None) -> dict[str, bytes]:
    """The contents of a sample's members, by extension, in the order of `MEMBERS`.

    Args:
        row: an `ok` row with the columns of `stages.columns.SAMPLE`.
        image: the JPEG, stored as it is.
        extra: the sample's entry in `extra_records`.

    Raises:
        ValueError: if the row lacks an image or a mask, or has a number that JSON cannot hold.
    """
    if not image:
        raise ValueError("the row has no image")
    labels = label_map(row["entities"] or [], row["width"], row["height"])
    record = json.dumps(record_of(row, extra), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = row["alt_text"] or row["caption"] or ""
    return {"jpg": image, "json": record.encode(), "png": encode_png(labels), "txt": text.encode()}


def record_of(row: Row, extra: Row | None) -> Row:
    """The json of an `ok` row.

    `mask` is the list that Subject-Diffusion's official loader reads; its entry i belongs to entity i
    and to the value i of the label map.
    """
    record = {name: json_value(row[name], SAMPLE.field(name).type) for name in COPIED}
    background = {"value": 0, "label": "background"}
    record["mask"] = [background, *(_mask_entry(entity) for entity in record["entities"])]
    white_fraction = json_value(row["white_fraction"], pa.float32())
    counts = {"nouns": len(record["nouns"]), "entities": len(record["entities"])}
    record["filters"] = {"white_fraction": white_fraction, **counts}
    record["extra"] = extra
    record["schema_version"] = SCHEMA_VERSION
    return record


def extra_records(table: pa.Table) -> list[Row | None]:
    """For each row what its json has under `extra`: the columns of others that have a form in JSON.

    None, not `{}`, if there are none: readers turn records into tables, and Parquet has no empty struct.
    """
    fields = json_columns(extra_columns(table.schema))
    if not len(fields):
        return [None] * table.num_rows
    values = zip(*(table[name].to_pylist() for name in fields.names), strict=True)
    return [json_value(dict(zip(fields.names, row, strict=True)), pa.struct(list(fields))) for row in values]


def json_value(value: Any, kind: pa.DataType) -> Any:
    """A column's value as JSON. A float is the shortest decimal that is the same number in its type."""
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return {field.name: _field_value(field, (value or {}).get(field.name)) for field in fields}
    if is_any_list(kind):
        return [json_value(item, kind.value_type) for item in value or []]
    if pa.types.is_floating(kind):
        return _float(-1.0 if value is None else value, kind)
    if pa.types.is_boolean(kind):
        return bool(value)
    if pa.types.is_integer(kind):
        return -1 if value is None else value
    return value or ""


def _float(value: float, kind: pa.DataType) -> float:
    return value if pa.types.is_float64(kind) else float(str(np.float32(value)))


def _field_value(field: pa.Field, value: Any) -> Any:
    return None if value is None and field.name in _UNKNOWN_IS_NULL else json_value(value, field.type)


def _mask_entry(entity: dict[str, Any]) -> dict[str, Any]:
    return {
        "value": entity["id"],
        "label": entity["lemma"],
        "logit": entity["det_score"],
        "box": entity["box"],
    }
