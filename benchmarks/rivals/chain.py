# SPDX-License-Identifier: Apache-2.0
"""What all contenders have in common: the same stages with the same models, pictures in, samples out.

Each brings its own way to run them, to read and to write; here is what a table of rows is to them.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds

from benchmarks.quality import CONFIG
from pipeline.config import load_config
from stages.base import TableFunction
from stages.columns import OK, RAW
from stages.shard.record import members_of

LIGHT = ("read", "filter_image")
FIRST = ("caption", "nouns", "detect", "select")
SECOND = ("segment", "score")
_MODELS = ("caption.captioner", "detect.detector", "segment.segmenter")
ALL = (*LIGHT, *FIRST, *SECOND)
TWO = (
    "stages.read.resources={workers: 2, cpus: 1}",
    "stages.caption.resources=null",
    "stages.segment.resources=null",
)
"""Settings of our build with all stages in each of two workers."""
TOGETHER = 100
"""Pictures of a tar, or of a block, as in our shards."""


def asked(told: str | None) -> ArgumentParser:
    """From which folder to which; contenders add what they have beside."""
    parser = ArgumentParser(description=told)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    return parser


@lru_cache
def _functions(names: tuple[str, ...], threads: int) -> list[TableFunction]:
    """Stages of the miniature's configuration; their models are loaded once a process."""
    stages = load_config(CONFIG, [f"stages.{field}.threads={threads}" for field in _MODELS]).stages
    return [stages[name].setup() for name in names]


def through(names: tuple[str, ...], table: pa.Table, threads: int = 1) -> pa.Table:
    """A table after some stages, whose models compute in so many threads."""
    for function in _functions(names, threads):
        table = function(table)
    return table


def schema_after(names: tuple[str, ...]) -> pa.Schema:
    """Of rows that some stages are done with, for those who pass them on in another form than tables."""
    stages = load_config(CONFIG).stages
    fields = {field.name: field for field in RAW}
    for name in names:
        fields |= {field.name: field for field in stages[name].outputs}
        fields = {key: field for key, field in fields.items() if key not in stages[name].drops}
    return pa.schema([*fields.values()])


def jobs(source: Path, output: Path) -> list[tuple[list[Path], Path]]:
    """All pictures of a folder, and the tar that each hundred of them goes to."""
    paths = pictures(source)
    return [
        (paths[start : start + TOGETHER], output / f"{start // TOGETHER:05d}.tar")
        for start in range(0, len(paths), TOGETHER)
    ]


def table_of(paths: Sequence[Path], contents: Sequence[bytes] | None = None) -> pa.Table:
    """Files as the rows that the first stage takes.

    Args:
        paths: of pictures.
        contents: their bytes; read here if not given.
    """
    found = contents if contents is not None else [path.read_bytes() for path in paths]
    rows = [
        {
            "key": path.stem,
            "source_key": path.name,
            "source_uri": str(path),
            "status": OK,
            "source_bytes": data,
        }
        for path, data in zip(paths, found, strict=True)
    ]
    return pa.Table.from_pylist(rows, RAW)


def samples_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Webdataset samples of the rows that came through: picture, label map, record, caption."""
    for row in table.to_pylist():
        if row["status"] == OK:
            yield {"__key__": row["key"], **members_of(row, row["image"], None)}


def write_tar(path: Path, table: pa.Table) -> None:
    """One tar with webdataset's own writer, and one parquet of the rows, without pictures."""
    with wds.writer.TarWriter(str(path), encoder=False) as tar:
        for sample in samples_of(table):
            tar.write(sample)
    plain = table.drop_columns([name for name in ("image", "source_bytes") if name in table.column_names])
    pq.write_table(plain, path.with_suffix(".parquet"))


def pictures(folder: Path) -> list[Path]:
    """Sorted."""
    return sorted(folder.iterdir())
