# SPDX-License-Identifier: Apache-2.0
"""RAM of a node: what its workers take, and what is there for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.errors import UserError
from pipeline.planning.cluster import Cluster, Seat

_STORE, _STORE_AT_MOST = 0.3, 200e9
"""Of a node's RAM, and bytes, that Ray sets aside for what is on its way from one pool to the next
(`DEFAULT_OBJECT_STORE_MEMORY_PROPORTION`, `DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES`)."""
_GIB = 2**30


def for_workers(cluster: Cluster) -> float:
    """Bytes of a node that are no part of Ray's object store."""
    return cluster.memory - min(_STORE * cluster.memory, _STORE_AT_MOST)


def fullest(places: Sequence[Sequence[Seat]], memories: Sequence[int]) -> int:
    """Bytes of the node whose workers take most.

    Args:
        places: of each operator its workers' seats.
        memories: bytes that a worker of each takes at most.
    """
    nodes: Counter[int] = Counter()
    for some, memory in zip(places, memories, strict=True):
        for seat in some:
            nodes[seat.node] += memory
    return max(nodes.values(), default=0)


def check_memory(taken: int, cluster: Cluster) -> None:
    """Refuse workers that Ray's memory monitor would kill, again and again.

    Raises:
        UserError: a node's workers take more than there is for them.
    """
    if taken > for_workers(cluster):
        store = cluster.memory - for_workers(cluster)
        raise UserError(
            f"workers on one node take {taken / _GIB:.1f} GiB of RAM; it has {cluster.memory / _GIB:.1f}, of "
            f"which Ray's object store takes {store / _GIB:.1f}: lower resources.workers, batch_size or "
            "shard_size, or give more --nodes or --memory"
        )


def memory_line(taken: int, cluster: Cluster) -> str:
    """What a bill says."""
    there = f"of {cluster.memory / _GIB:.1f}" if cluster.memory < float("inf") else "(--memory GIB checks it)"
    return f"{taken / _GIB:.1f} GiB of workers on the fullest node, {there}"
