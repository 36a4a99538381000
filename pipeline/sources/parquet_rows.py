# SPDX-License-Identifier: Apache-2.0
"""Rows of a parquet file as pictures with what stands beside them."""

import json
import math
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources.fetch import Payload
from pipeline.sources.metadata import url_and_text
from stages.columns import REJECTED

IMAGE_COLUMNS = ("image", "jpg", "bytes", "image_bytes", "image.bytes")
"""Tried in this order where no column is named."""

_ROWS = 32  # held decoded at a time: a row group may be larger than memory


def find_column(schema: pa.Schema, wanted: str | None) -> str | None:
    """The name of the column of encoded pictures: binary, or a struct with a binary field `bytes`.

    Args:
        schema: of the file.
        wanted: its name, with or without `.bytes`; by default the first of `IMAGE_COLUMNS` there is.
    """
    tried = (wanted, wanted.removesuffix(".bytes")) if wanted else IMAGE_COLUMNS
    # Of two columns with one name neither can be asked for.
    single = [name for name in tried if schema.names.count(name) == 1]
    return next((name for name in single if _holds_bytes(schema.field(name).type)), None)


def row_count(parquet: pq.ParquetFile) -> int:
    """How many rows there are, by a footer that agrees with itself.

    Raises:
        ValueError: it does not.
    """
    # Not by its column chunks: one with wrong statistics ends the process, not just the call.
    groups = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    rows = parquet.metadata.num_rows
    if sum(groups) != rows or min(groups, default=0) < 0:
        raise ValueError(f"its footer says {rows} rows, its row groups add up to {sum(groups)}")
    return rows


def payloads(parquet: pq.ParquetFile, column: str, rows: list[int]) -> Iterator[tuple[int, Payload]]:
    """Read rows (sorted), touching only their row groups; scalar columns become metadata.

    Yields:
        The row's number, and what it holds. Rows beyond the file's end are left out.
    """
    for row, values in _pick(parquet, _columns(parquet.schema_arrow, column), rows):
        yield row, _payload(values, column)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return [_is_binary(field.type) for field in kind if field.name == "bytes"] == [True]
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _columns(schema: pa.Schema, column: str) -> list[str]:
    scalars = [field for field in schema if not pa.types.is_nested(field.type) and not _is_binary(field.type)]
    return [column, *(field.name for field in scalars)]


def _pick(
    parquet: pq.ParquetFile, columns: list[str], rows: list[int]
) -> Iterator[tuple[int, dict[str, Any]]]:
    first = 0
    for group in range(parquet.num_row_groups):
        end = first + parquet.metadata.row_group(group).num_rows
        here = rows[bisect_left(rows, first) : bisect_left(rows, end)]
        start = first
        for batch in parquet.iter_batches(_ROWS, [group], columns) if here else ():
            inside = here[bisect_left(here, start) : bisect_left(here, start + batch.num_rows)]
            places = pa.array([row - start for row in inside], pa.int64())
            yield from zip(inside, _plain(batch.take(places)), strict=True)
            start += batch.num_rows
            if start > here[-1]:
                break
        first = end


def _plain(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        return batch.to_pylist()
    except Exception:  # one value that Python cannot hold, such as a day of the year 10000
        columns = [[_value(scalar) for scalar in column] for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except Exception:  # what it is varies with the type
        return _text(scalar)


def _text(scalar: pa.Scalar) -> str | None:
    strings = pa.types.is_string(scalar.type) or pa.types.is_large_string(scalar.type)
    try:
        if strings:  # not UTF-8
            return scalar.cast(pa.large_binary()).as_py().decode("utf-8", "replace")
        return scalar.cast(pa.string()).as_py()
    except Exception:  # such as a time in a zone that nobody knows
        return None


def _payload(values: dict[str, Any], column: str) -> Payload:
    picture = values.pop(column)
    if isinstance(picture, dict):
        values.setdefault("path", picture.get("path"))
        picture = picture.get("bytes")
    meta = {name: None if _not_finite(value) else value for name, value in values.items()}
    url, text = url_and_text(meta)
    known = json.dumps(meta, ensure_ascii=False, default=str) if meta else None
    if picture is None:
        return Payload(None, text, url, known, REJECTED, "no_image", f"no bytes in column {column!r}")
    return Payload(picture, text, url, known)


def _not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
