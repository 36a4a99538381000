# SPDX-License-Identifier: Apache-2.0
"""The rows of an evaluation as its shards have them, and its pictures as files of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.layout import EVALUATION, committed_shards
from pipeline.dataset.shard_table import shard_table
from pipeline.evaluate.source import parts_of
from pipeline.report.picture import stored
from stages.columns import OK
from stages.generate import ABOUT
from stages.shard.commit import replace
from stages.shard.files import ShardFiles

Row = dict[str, Any]
_OURS = re.compile(r"\d{4,}-\d{2,}\.jpg")
_READ = ("source_key", "source_meta", "status", "stage", "reason", "detail", "jpg_offset", "jpg_size")
_COSTS = ("tuning_seconds", "image_seconds", "subject_bytes", "memory_bytes")


def evaluated_rows(root: Path) -> list[Row]:
    """A row for each picture that was asked for: what was asked, what became of it, its costs and scores.

    `scores` is a mapping; it is empty of pictures that are not there. `image` is the path of the picture
    below `root`, None if there is none. Also writes these pictures, and removes those of another evaluation.
    """
    rows = sorted(
        (row for shard in committed_shards(root, EVALUATION) for row in _rows(root, shard)),
        key=lambda row: (row["setting"], row["set"], row["seed"], row["place"]),
    )
    ours = {root / row["image"] for row in rows if row["image"]}
    for path in (root / "images").glob("*/*/*.jpg"):
        if path not in ours and _OURS.fullmatch(path.name):
            path.unlink()
    return rows


def _rows(root: Path, shard: ShardFiles) -> Iterator[Row]:
    with shard_table(shard) as file:
        there = {*file.schema_arrow.names}
        table = file.read(columns=[name for name in (*_READ, *ABOUT.names, "scores") if name in there])
    for row in table.to_pylist():
        asked = json.loads(row["source_meta"]) if row["source_meta"] else {}
        setting, seed, name = parts_of(row["source_key"])
        told = {
            "setting": setting,
            "set": name,
            "seed": seed,
            "place": int(row["source_key"].rpartition("/")[2]),
        }
        told |= {each: row[each] for each in ("status", "stage", "reason", "detail")}
        told |= {each: row.get(each) for each in _COSTS}
        told |= {"prompt": asked.get("prompt"), "scores": _scores(row), "image": None}
        if row["status"] == OK:
            told["image"] = f"images/{setting}/{name}/{seed:04d}-{told['place']:02d}.jpg"
            path, kept = root / told["image"], stored(shard.tar, row["jpg_offset"], row["jpg_size"])
            # Somebody may have changed it, or an earlier run have left another.
            if not path.is_file() or path.read_bytes() != kept:
                replace(path, kept)
        yield told


def _scores(row: Row) -> dict[str, float]:
    return {each["name"]: each["value"] for each in row.get("scores") or ()}


def write_table(rows: list[Row], path: Path) -> None:
    """A row a picture, a column a metric; null where there is no value."""
    names = sorted({name for row in rows for name in row["scores"]})
    flat = [
        {**{k: v for k, v in row.items() if k != "scores"}, **{n: row["scores"].get(n) for n in names}}
        for row in rows
    ]
    fields = [pa.field(name, pa.string()) for name in ("setting", "set")]
    fields += [pa.field("seed", pa.int64()), pa.field("place", pa.int32())]
    fields += [
        pa.field(name, pa.string()) for name in ("prompt", "image", "status", "stage", "reason", "detail")
    ]
    fields += [pa.field(name, pa.float64()) for name in ("tuning_seconds", "image_seconds")]
    fields += [pa.field(name, pa.int64()) for name in ("subject_bytes", "memory_bytes")]
    fields += [pa.field(name, pa.float64()) for name in names]
    pq.write_table(pa.Table.from_pylist(flat, pa.schema(fields)), path, compression="zstd")
