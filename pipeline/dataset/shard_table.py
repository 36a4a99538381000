# SPDX-License-Identifier: Apache-2.0
"""Opening a shard's table, with one clear line where it cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
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
            yield file
    except (OSError, pa.ArrowException) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{shard.parquet} cannot be read ({why}); delete {shard.stats.name} and run the build again"
        ) from error
