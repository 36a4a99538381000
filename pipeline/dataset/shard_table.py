# SPDX-License-Identifier: Apache-2.0
"""Opening a shard's table, with one clear line where it cannot be read."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.totals import all_stats
from pipeline.errors import UserError
from stages.columns import SAMPLE
from stages.shard.files import ShardFiles
from stages.shard.place import open_parquet


@contextmanager
def shard_table(shard: ShardFiles) -> Iterator[pq.ParquetFile]:
    """The table of a committed shard; the `with` block reads it and does nothing else.

    Raises:
        UserError: it cannot be read, and how it is mended.
    """
    try:
        with open_parquet(shard.parquet) as file:
            schema = file.schema_arrow
            if any(field not in schema for field in SAMPLE):
                raise pa.ArrowInvalid("it has other columns than rows have")
            yield file
    except (OSError, pa.ArrowException) as error:
        raise damaged(shard, " ".join(str(error).split())) from error


def check_whole(shard: ShardFiles) -> None:
    """See that a shard's table is what its stats say, before its rows become part of anything else.

    Raises:
        UserError: it is not, and how it is mended.
    """
    stated = next(all_stats([shard]))["files"]["parquet"].get("sha256")
    try:
        with shard.parquet.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise damaged(shard, str(error)) from error
    if found != stated:
        raise damaged(shard, "it is not what was written")


def damaged(shard: ShardFiles, why: str) -> UserError:
    """What to say of a shard whose table is not what it was, and how it is mended."""
    return UserError(
        f"{shard.parquet} cannot be read ({why}); delete {shard.stats.name} and run the build again"
    )
