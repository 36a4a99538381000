# SPDX-License-Identifier: Apache-2.0
"""All stages in this process, one shard after another: for tests, debugging and small jobs."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from models.backends.protocols import BackendError
from pipeline.errors import UserError
from pipeline.operators import Operator, StageError, Worker
from pipeline.shard_reader import ShardReader
from stages.backend import check_weights
from stages.write import WriteError


def run_local(read: ShardReader, chain: Sequence[Operator], shards: Sequence[int]) -> Iterator[pa.Table]:
    """Yield each shard's receipt as it is committed.

    Raises:
        UserError: if a backend cannot be had, a stage does not do what it has to, or nothing can be written.
    """
    try:
        check_weights(stage for operator in chain for _, stage in operator.stages)
        workers = [Worker(operator) for operator in chain] if shards else []
        for shard in shards:
            table = read(shard)
            for worker in workers:
                table = worker(table)
            yield table
    except (BackendError, StageError, WriteError) as error:
        raise UserError(str(error)) from error
