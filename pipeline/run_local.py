# SPDX-License-Identifier: Apache-2.0
"""All stages in this process, one shard after another: for tests, debugging and small jobs."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from models.backends.protocols import BackendError
from pipeline.context import RunContext
from pipeline.errors import UserError
from pipeline.operators import Operator, StageError, Worker
from pipeline.shard_reader import ShardReader
from stages.backend import check_weights
from stages.shard.fence import Fenced
from stages.write import WriteError


def run_local(
    read: ShardReader, chain: Sequence[Operator], shards: Sequence[int], run: RunContext
) -> Iterator[pa.Table]:
    """Yield each shard's receipt as it is committed; begin no other once the run is to stop.

    Raises:
        UserError: if a backend cannot be had, or a stage does not do what it has to.
    """
    try:
        check_weights(stage for operator in chain for _, stage in operator.stages)
        workers = [Worker(operator, run.notes) for operator in chain] if shards else []
        for shard in shards:
            if run.stopper.asked:
                return
            attempts = run.notes.about(shard, chain[0].name)
            table = workers[0](read(shard, attempts), attempts)
            for worker in workers[1:]:
                table = worker(table)
            yield table
    except (BackendError, StageError, Fenced, WriteError) as error:
        raise UserError(str(error)) from error
