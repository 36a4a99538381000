# SPDX-License-Identifier: Apache-2.0
"""One sample by its key, without reading its shard."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.dataset.layout import all_shards
from pipeline.errors import UserError
from stages.columns import OK
from stages.shard.files import ShardFiles, place_of

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of the parquet; members are None if it was rejected or failed."""

    row: Row
    """With the columns of `stages.columns.SAMPLE`."""
    jpg: bytes | None
    """The picture."""
    png: bytes | None
    """The label map: 8-bit grey, 0 is background, i is entity i."""
    record: Row | None
    """The json."""
    text: str | None
    """The alt text, or the caption."""


def find_sample(root: Path, key: str) -> Sample:
    """The sample with this key.

    Raises:
        UserError: if it is no key, if the dataset has no such sample, or if it cannot be read.
    """
    try:
        number, _ = place_of(key)
    except ValueError as error:
        raise UserError(str(error)) from None
    shard = next((files for files in all_shards(root) if files.number == number), None)
    if shard is None:
        raise UserError(f"{root} has no committed shard {number:05d}, to which {key} belongs")
    try:
        rows = pq.read_table(shard.parquet, filters=[("key", "==", key)]).to_pylist()
        if rows:
            return read_sample(shard, rows[0])
    except (OSError, ValueError) as error:
        raise UserError(
            f"shard {number:05d} of {root} is damaged ({error}); run `subjectforge verify`"
        ) from error
    raise UserError(f"{root} has no sample {key}; shard {number:05d} ends before")


def read_sample(shard: ShardFiles, row: Row) -> Sample:
    """The members of the sample with this row, from where the row says they are.

    Raises:
        OSError: if there is no tar.
        ValueError: if what is there is not a sample.
    """
    if row["status"] != OK:
        return Sample(row, None, None, None, None)
    with shard.tar.open("rb") as stream:
        contents = {}
        for member in ("jpg", "json", "png", "txt"):
            stream.seek(row[f"{member}_offset"])
            contents[member] = stream.read(row[f"{member}_size"])
    record = json.loads(contents["json"])
    return Sample(row, contents["jpg"], contents["png"], record, contents["txt"].decode())
