# SPDX-License-Identifier: Apache-2.0
"""A shard's rows become its files: a tar of samples, a parquet of all rows, and the stats."""

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from stages.attempts import WORKER_DIED
from stages.base import Stage, TableFunction
from stages.columns import BACKOFF, DEATHS, LEDGER, SECONDS
from stages.parse import parse_json
from stages.shard.commit import commit, replace
from stages.shard.contents import fill_shard
from stages.shard.fence import NO_FENCE, Fence
from stages.shard.files import ShardFiles, place_of
from stages.shard.place import Place, place

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
        pa.field("isolated", pa.int64()),
        pa.field("deaths", pa.int64()),
        pa.field("seconds", pa.string()),
        pa.field("backoff", pa.string()),
    ]
)
"""The one row that stands for a shard once it is on disk; `written` is false if it had been there.

`isolated` counts rows that end every process that works on them, `deaths` the workers that died over the
shard. `seconds` is JSON, from stage to seconds.
`backoff` is null, or JSON: the stages that ran out of memory in this shard, and how many rows at a time they
keep to since, as in `{"caption": 8}`.
"""


class WriteError(Exception):
    """The output takes no more: one line that says what, where and what to do."""


def refused(what: str, where: object, error: OSError) -> str:
    """That line: `what` could not be written to `where`."""
    if isinstance(error, IsADirectoryError):
        there = error.filename2 or error.filename
        return f"cannot write {what} to {where}: {there} is a folder; move it away and run the command again"
    why = error.strerror or " ".join(str(error).split())
    return (
        f"cannot write {what} to {where}: {why}; mend this (free space, or give access) and run the same "
        "command again: finished shards are kept"
    )


@dataclass(frozen=True, kw_only=True)
class Write(Stage):
    """Write a whole shard: its table in, one `RECEIPT` row out.

    The function takes all rows of one shard, whatever became of them, in any order. Columns that a
    shard never got to have are written as nulls; those that stages of other packages added are kept (see
    `stages.extra_columns`); a sample that cannot be encoded becomes an `error`
    row. It raises ValueError if the rows are not those of one shard, each once, and `WriteError` if the disk
    is full or cannot be written to: then nothing of the shard is there.
    """

    inputs: ClassVar[tuple[str, ...]] = (*LEDGER.names, "image", "width", "height", "entities")
    outputs: ClassVar[pa.Schema] = RECEIPT
    whole: ClassVar[bool] = True
    version: ClassVar[int] = 2
    folder: str = field(default="", repr=False, metadata={"by_run": True})
    """The dataset's root, a path or a URI, which may hold credentials; the run sets it."""
    token: str = field(default="", metadata={"by_run": True})
    """Of the lease that the run holds on the folder; the run sets it."""
    split: str = "train"
    """Folder below `data`, and name of the split for readers; letters, digits, `_` and `-`."""

    def __post_init__(self) -> None:
        """Check what a type cannot say.

        Raises:
            ValueError: if `split` is no plain name.
        """
        if not re.fullmatch(r"[0-9A-Za-z_-]+", self.split):
            raise ValueError(f"split is {self.split!r}; it must be made of letters, digits, _ and -")

    def setup(self) -> TableFunction:
        """Nothing to load."""
        return partial(write_shard, place(self.folder), self.split, fence=Fence(self.folder, self.token))


def write_shard(root: Place, split: str, table: pa.Table, fence: Fence = NO_FENCE) -> pa.Table:
    """Write the shard that `table` holds, unless it is committed; see `Write`.

    Raises:
        Fenced: another run has the folder by now.
        WriteError: the folder cannot be written to.
    """
    if not table.num_rows:
        return RECEIPT.empty_table()
    started = time.perf_counter()
    keys = table["key"].to_pylist()
    if keys != sorted(keys):
        table = table.sort_by("key")
    number = _shard_number(sorted(keys))
    files = ShardFiles(root / "data" / split, number)
    try:
        written = not files.stats.is_file() and commit(
            (files.tar, files.parquet, files.stats), partial(fill_shard, number, table), fence.check
        )
        stats = parse_json(files.stats.read_text(encoding="utf-8"))
    except OSError as error:
        raise WriteError(refused(f"shard {files.stem}", files.folder, error)) from error
    if written:
        # The shard is there; it is not lost for want of a note about its speed.
        with suppress(OSError):
            _log_seconds(root, files, table, time.perf_counter() - started)
    return _receipt(stats, written, table)


def _shard_number(keys: list[str]) -> int:
    places = [place_of(key) for key in keys]
    number = places[0][0]
    if places != [(number, index) for index in range(len(keys))]:
        raise ValueError(f"{len(keys)} rows from {keys[0]} to {keys[-1]} are not one whole shard")
    return number


def _log_seconds(root: Place, files: ShardFiles, table: pa.Table, own: float) -> None:
    names = [name for name in table.column_names if name.startswith(SECONDS)]
    seconds = _seconds(table)
    worked = {name: table.num_rows - table[name].null_count for name in names}
    images = {name.removeprefix(SECONDS): count for name, count in worked.items()}
    log = {
        "rows": table.num_rows,
        "images": {**images, "write": table.num_rows},
        "seconds": {**seconds, "write": own},
        "backoff": _backoff(table),
    }
    path = root / "_meta" / "timings" / f"{files.stem}.json"
    replace(path, json.dumps(log).encode())


def _seconds(table: pa.Table) -> dict[str, float]:
    names = [name for name in table.column_names if name.startswith(SECONDS)]
    return {name.removeprefix(SECONDS): sum(filter(None, table[name].to_pylist())) for name in names}


def _backoff(table: pa.Table) -> dict[str, int]:
    """Where memory ran out: the stages, and how many rows at a time they keep to since."""
    names = [name for name in table.column_names if name.startswith(BACKOFF)]
    return {name.removeprefix(BACKOFF): table[name][0].as_py() for name in names}


def _receipt(stats: dict[str, Any], written: bool, table: pa.Table) -> pa.Table:
    files, statuses = stats["files"], stats["statuses"]
    backoff = _backoff(table)
    row = {
        "shard": stats["shard"],
        "rows": stats["count"],
        "samples": stats["successes"],
        "rejected": statuses["rejected"],
        "errors": statuses["error"],
        "instances": stats["instances"],
        **{
            f"{kind}_{what}": files[kind][what] for kind in ("tar", "parquet") for what in ("bytes", "sha256")
        },
        "written": written,
        "isolated": sum(reasons.get(WORKER_DIED, 0) for reasons in stats["reasons"].values()),
        "deaths": sum(table[name][0].as_py() for name in table.column_names if name.startswith(DEATHS)),
        "seconds": json.dumps(_seconds(table)),
        "backoff": json.dumps(backoff) if backoff else None,
    }
    return pa.Table.from_pylist([row], RECEIPT)
