# SPDX-License-Identifier: Apache-2.0
"""More workers for an operator that, sharing cores with those behind it, is slower than alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pipeline.planning.cluster import Cluster
from pipeline.planning.machine import Machine
from pipeline.planning.pools import Pool, fits
from pipeline.planning.simulation import Simulated, simulate

_TRIES = 6
_MORE = 1.25
_WORTH = 0.99
"""Of the time before that more workers have to leave, at most."""
_SHARDS_A_WORKER = 20


def tuned(
    pools: Sequence[Pool], cluster: Cluster, images: int, shard_size: int, machine: Machine
) -> list[Pool]:
    """Pools whose busiest operator got a quarter more workers as often as the run was faster for it.

    Operators at the beginning of a chain yield to those behind them where cores are short, and what a worker
    does alone is not what it does then. On GPUs workers share alike, so those are left as they are.

    Args:
        pools: sized by what each worker does alone.
        cluster: the machines.
        images: of the source; some of them are simulated.
        shard_size: images in a shard.
        machine: what every node adds to the work.
    """

    def tried(some: Sequence[Pool]) -> Simulated:
        shards = _SHARDS_A_WORKER * max(pool.workers for pool in pools)
        # While models load, the first operators get ahead, and a short run would not show that they are slow.
        there = [replace(pool, cost=pool.cost.model_copy(update={"load": 0.0})) for pool in some]
        return simulate(there, cluster, min(images, shards * shard_size), shard_size, machine)

    best, run = [*pools], tried(pools)
    for _ in range(_TRIES):
        busiest = max(range(len(best)), key=lambda place: run.busy[place])
        more = [*best]
        more[busiest] = best[busiest].of(math.ceil(best[busiest].workers * _MORE))
        if best[busiest].holding.gpus or not fits(more, cluster):
            break
        faster = tried(more)
        if faster.seconds > _WORTH * run.seconds:
            break
        best, run = more, faster
    return best
