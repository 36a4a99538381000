# SPDX-License-Identifier: Apache-2.0
"""A shard's rows become its files: a tar of samples, a parquet of all rows, and the stats."""

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from stages.base import Stage, TableFunction
from stages.columns import ERROR, LEDGER, OFFSETS, OK, SAMPLE, SCHEMA_VERSION, SECONDS
from stages.shard.commit import commit, replace
from stages.shard.files import ShardFiles, place_of
from stages.shard.record import MEMBERS, members_of
from stages.shard.stats import shard_stats, stats_text
from stages.shard.tar import TarStream

RECEIPT = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("rows", pa.int64()),
        pa.field("samples", pa.int64()),
        pa.field("rejected", pa.int64()),
        pa.field("errors", pa.int64()),
        pa.field("instances", pa.int64()),
        pa.field("tar_bytes", pa.int64()),
        pa.field("tar_sha256", pa.string()),
        pa.field("parquet_bytes", pa.int64()),
        pa.field("parquet_sha256", pa.string()),
        pa.field("written", pa.bool_()),
    ]
)
"""The one row that stands for a shard once it is on disk; `written` is false if it had been there."""

_METADATA = {"subjectforge.schema_version": str(SCHEMA_VERSION)}


@dataclass(frozen=True, kw_only=True)
class Write(Stage):
    """Write a whole shard: its table in, one `RECEIPT` row out.

    The function takes all rows of one shard, whatever became of them, in any order. Columns that a
    shard never got to have are written as nulls; a sample that cannot be encoded becomes an `error`
    row. It raises ValueError if the rows are not those of one shard, each once.
    """

    inputs: ClassVar[tuple[str, ...]] = (*LEDGER.names, "image", "width", "height", "entities")
    outputs: ClassVar[pa.Schema] = RECEIPT
    folder: str = ""
    """The dataset's root; the run sets it."""
    split: str = "train"
    """Folder below `data`, and name of the split for readers."""

    def setup(self) -> TableFunction:
        """Nothing to load."""
        return partial(write_shard, Path(self.folder), self.split)


def write_shard(root: Path, split: str, table: pa.Table) -> pa.Table:
    """Write the shard that `table` holds, unless it is committed; see `Write`."""
    if not table.num_rows:
        return RECEIPT.empty_table()
    started = time.perf_counter()
    table = table.sort_by("key")
    number = _shard_number(table["key"].to_pylist())
    files = ShardFiles(root / "data" / split, number)
    written = not files.stats.exists() and commit(
        (files.tar, files.parquet, files.stats), partial(_fill, number, table)
    )
    if written:
        _log_seconds(root, files, table, time.perf_counter() - started)
    return _receipt(json.loads(files.stats.read_text(encoding="utf-8")), written)


def _shard_number(keys: list[str]) -> int:
    places = [place_of(key) for key in keys]
    number = places[0][0]
    if places != [(number, index) for index in range(len(keys))]:
        raise ValueError(f"{len(keys)} rows from {keys[0]} to {keys[-1]} are not one whole shard")
    return number


def _fill(number: int, table: pa.Table, tar: BinaryIO, parquet: BinaryIO, stats: BinaryIO) -> None:
    rows = _sample_table(table).to_pylist()
    images = table["image"] if "image" in table.column_names else None
    stream = TarStream(tar)
    for index, row in enumerate(rows):
        if row["status"] == OK:
            _add_sample(stream, row, images[index].as_py() if images is not None else None)
    stream.close()
    tar.flush()
    samples = pa.Table.from_pylist(rows, SAMPLE.with_metadata(_METADATA))
    pq.write_table(samples, parquet, compression="zstd", row_group_size=max(len(rows), 1))
    parquet.flush()
    counts = shard_stats(number, samples, {"tar": tar, "parquet": parquet})
    stats.write(stats_text(counts).encode())


def _sample_table(table: pa.Table) -> pa.Table:
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names and field.name not in OFFSETS.names
        else pa.nulls(table.num_rows, field.type)
        for field in SAMPLE
    ]
    return pa.Table.from_arrays(columns, schema=SAMPLE)


def _add_sample(stream: TarStream, row: dict[str, Any], image: bytes | None) -> None:
    try:
        members = members_of(row, image)
    except Exception as error:
        message = (str(error).strip().splitlines() or [""])[0][:300]
        row.update(status=ERROR, stage="write", reason=type(error).__name__, detail=message)
        return
    for extension in MEMBERS:
        row[f"{extension}_offset"] = stream.add(f"{row['key']}.{extension}", members[extension])
        row[f"{extension}_size"] = len(members[extension])


def _log_seconds(root: Path, files: ShardFiles, table: pa.Table, own: float) -> None:
    names = [name for name in table.column_names if name.startswith(SECONDS)]
    seconds = {name.removeprefix(SECONDS): sum(filter(None, table[name].to_pylist())) for name in names}
    log = {"rows": table.num_rows, "seconds": {**seconds, "write": own}}
    path = root / "_meta" / "timings" / f"{files.stem}.json"
    replace(path, json.dumps(log, sort_keys=True).encode())


def _receipt(stats: dict[str, Any], written: bool) -> pa.Table:
    files, statuses = stats["files"], stats["statuses"]
    row = {
        "shard": stats["shard"],
        "rows": stats["count"],
        "samples": stats["successes"],
        "rejected": statuses["rejected"],
        "errors": statuses["error"],
        "instances": stats["instances"],
        **{f"{kind}_{what}": files[kind][what] for kind in ("tar", "parquet") for what in ("bytes", "sha256")},
        "written": written,
    }
    return pa.Table.from_pylist([row], RECEIPT)
