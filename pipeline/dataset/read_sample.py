# SPDX-License-Identifier: Apache-2.0
"""One sample by its key, without reading its shard."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipeline.dataset.layout import all_shards
from pipeline.errors import UserError
from stages.columns import OFFSETS, OK
from stages.shard.files import ShardFiles, place_of
from stages.shard.place import Place, open_parquet

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of the parquet; members are None if it was rejected or failed."""

    row: Row
    """With the columns of `stages.columns.SAMPLE`, and those that stages of other packages added."""
    jpg: bytes | None
    """The picture."""
    png: bytes | None
    """The label map: 8-bit grey, 0 is background, i is entity i."""
    record: Row | None
    """The json."""
    text: str | None
    """The alt text, or the caption."""

    @property
    def key(self) -> str:
        """Unique in the dataset."""
        return self.row["key"]


def find_sample(root: Place, key: str) -> Sample:
    """The sample with this key, or the first with this source key.

    Raises:
        UserError: if the dataset has no such sample, or if it cannot be read.
    """
    shards = all_shards(root)
    try:
        number = place_of(key)[0]
    except ValueError:
        column = "source_key"
    else:
        column, shards = "key", [files for files in shards if files.number == number]
    for shard in shards:
        try:
            rows = open_parquet(shard.parquet).read().filter(pc.field(column) == key).to_pylist()
            if rows:
                return read_sample(shard, rows[0])
        except (OSError, ValueError) as error:
            name = shard.folder / shard.stem
            raise UserError(f"shard {name} is damaged ({error}); run `subjectforge verify {root}`") from error
    raise UserError(f"{root} has no sample with the key or source key {key!r}; its parquets list all of them")


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


def describe(sample: Sample) -> str:
    """The row's fields as lines for people: those that are known, then a line an entity."""
    hidden = {"entities", "nouns", *OFFSETS.names}
    known = {name: value for name, value in sample.row.items() if name not in hidden and value is not None}
    known["nouns"] = ", ".join(noun["text"] for noun in sample.row["nouns"] or []) or None
    lines = [f"{name:<16} {_shown(value)}" for name, value in known.items() if value is not None]
    return "\n".join([*lines, *(_entity_line(entity) for entity in sample.row["entities"] or [])])


def _entity_line(entity: Row) -> str:
    shown = ("lemma", "box", "det_score", "mask_score", "stability", "area", "fill", "clip_sim")
    facts = "  ".join(f"{name} {_shown(entity[name])}" for name in shown if entity[name] is not None)
    inside = f"  inside {entity['contained_in']}" if (entity["contained_in"] or -1) > 0 else ""
    return f"{'entity ' + str(entity['id']):<16} {entity['text']}: {facts}{inside}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
