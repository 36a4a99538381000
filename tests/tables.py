# SPDX-License-Identifier: Apache-2.0
"""Small tables for tests of stages."""

from io import BytesIO
from typing import Any

import pyarrow as pa
from PIL import Image

from stages.columns import DETECTION, ENTITY, IMAGE, LEDGER, NOUN

_TYPES = {
    **{field.name: field.type for field in (*LEDGER, *IMAGE)},
    "caption": pa.string(),
    "nouns": pa.list_(NOUN),
    "detections": pa.list_(DETECTION),
    "entities": pa.list_(ENTITY),
}


def ok_rows(**columns: list[Any]) -> pa.Table:
    """A table of `ok` rows with the given columns."""
    count = len(next(iter(columns.values())))
    names = [f"00000-{place:05d}" for place in range(count)]
    ledger = {"key": names, "source_key": names, "source_uri": names, "status": ["ok"] * count}
    empty = {name: [None] * count for name in ("stage", "reason", "detail")}
    values = ledger | empty | columns
    return pa.table({name: pa.array(value, _TYPES[name]) for name, value in values.items()})


def jpeg(image: Image.Image) -> bytes:
    """A picture as JPEG bytes."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
