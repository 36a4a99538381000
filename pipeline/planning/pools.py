# SPDX-License-Identifier: Apache-2.0
"""How many workers each operator gets on a given cluster, so that none of them waits for another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UserError
from pipeline.operators import Operator, check_capacity, check_devices
from pipeline.planning.cluster import Cluster, Holding, seats
from pipeline.planning.measured import Measured, OperatorCost, settings_of
from pipeline.planning.memory import check_memory, for_workers, fullest

_HALVINGS = 60
_CONTEXT = 2**29
"""Bytes of a GPU that a process takes for CUDA itself, which torch does not count."""


@dataclass(frozen=True, slots=True)
class Pool:
    """An operator's workers."""

    operator: Operator
    cost: OperatorCost

    @property
    def workers(self) -> int:
        """How many there are."""
        return self.operator.resources.workers

    @property
    def holding(self) -> Holding:
        """Of a worker."""
        return Holding(self.operator.resources.cpus, self.operator.resources.gpus)

    @property
    def share(self) -> float:
        """Of its own speed that a worker has while all others work too: what it holds of a GPU."""
        return min(1.0, self.holding.gpus) if self.holding.gpus else 1.0

    @property
    def rate(self) -> float:
        """Images a second of all its workers, while all others work too."""
        return self.workers * self.share / max(self.cost.seconds, 1e-12)

    def of(self, workers: int) -> Pool:
        """The same with other workers."""
        resources = replace(self.operator.resources, workers=workers)
        return replace(self, operator=replace(self.operator, resources=resources))


def pools_of(chain: Sequence[Operator], measured: Measured) -> list[Pool]:
    """A chain's pools as they are configured.

    Raises:
        UserError: the measurements are of another chain or of other settings, or were made without a GPU
            and workers hold one, or on one and they hold none.
    """
    names = [operator.name for operator in chain]
    found = [cost.name for cost in measured.operators]
    if names != found:
        raise UserError(
            f"what was measured is another chain ({', '.join(found)}) than this one ({', '.join(names)}); "
            "measure again with --probe N"
        )
    changed = [name for name, mark in settings_of(chain).items() if measured.settings.get(name) != mark]
    if changed:
        raise UserError(
            f"other settings of {', '.join(changed)} were measured than these; measure again with --probe N"
        )
    for operator in chain:
        if operator.resources.gpus and not measured.gpu_total:
            raise UserError(
                f"{operator.name} holds a GPU and was measured without one; probe where a GPU is, or set "
                f"stages.{operator.stages[0][0]}.resources.gpus=0"
            )
    check_devices(chain)
    for operator, cost in zip(chain, measured.operators, strict=True):
        if cost.gpu_memory and not operator.resources.gpus:
            raise UserError(
                f"{operator.name} was measured on a GPU and holds none; set "
                f"stages.{operator.stages[0][0]}.resources.gpus, or measure again with --probe N"
            )
    return [Pool(operator, cost) for operator, cost in zip(chain, measured.operators, strict=True)]


def check_fits(pools: Sequence[Pool], cluster: Cluster, gpu_total: int) -> None:
    """Refuse workers that could not all be there at the same time: the run would wait for ever.

    Args:
        pools: all.
        cluster: the machines.
        gpu_total: bytes of a GPU's memory; 0 if it is not known.

    Raises:
        UserError: naming what does not fit.
    """
    check_capacity([pool.operator for pool in pools], cluster.all_cpus, cluster.all_gpus, "the cluster")
    taken = memory_of(pools, cluster)
    if taken is None:
        held = ", ".join(
            f"{pool.cost.name} {pool.workers} x ({pool.holding.cpus:g} CPU, {pool.holding.gpus:g} GPU)"
            for pool in pools
        )
        raise UserError(
            f"the workers ({held}) do not fit on {cluster} as Ray seats them: in the chain's order, those "
            "that read last, each on one node, and its share on one GPU"
        )
    check_memory(taken, cluster)
    for pool in pools:
        taken = pool.cost.gpu_memory + _CONTEXT if pool.cost.gpu_memory else 0
        if gpu_total and pool.holding.gpus and taken > pool.share * gpu_total:
            taken_gib, there_gib = taken / 2**30, gpu_total / 2**30
            raise UserError(
                f"{pool.cost.name}: a worker takes {taken_gib:.1f} GiB of a GPU's {there_gib:.1f} and holds "
                f"{pool.share:g} of it; set stages.{pool.cost.name.partition('+')[0]}.resources.gpus to "
                f"{taken / gpu_total:.2f} or more, or lower its batch_size"
            )


def sized(pools: Sequence[Pool], cluster: Cluster) -> list[Pool]:
    """The most images a second that the cluster can give: each operator gets as many workers as that takes.

    Args:
        pools: what a worker of each costs and holds; how many there are is left aside.
        cluster: the machines.

    Raises:
        UserError: not even one worker of each fits.
    """
    check_fits([pool.of(1) for pool in pools], cluster, 0)
    low, high = 0.0, _bound(pools, cluster)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(_for(pools, middle), cluster) else (low, middle)
    return _for(pools, low)


def _bound(pools: Sequence[Pool], cluster: Cluster) -> float:
    """Images a second that no layout can surpass: all CPUs, or all GPUs, do nothing but work."""
    gpu = sum(pool.cost.seconds for pool in pools if pool.holding.gpus)
    cpu = sum(pool.cost.cpu_seconds for pool in pools)
    bounds = [cluster.all_cpus / cpu if cpu else math.inf, cluster.all_gpus / gpu if gpu else math.inf]
    return min(*bounds, 1e9)


def _for(pools: Sequence[Pool], rate: float) -> list[Pool]:
    """Workers for a rate, at least one each."""
    return [pool.of(max(1, math.ceil(rate * pool.cost.seconds / pool.share - 1e-9))) for pool in pools]


def fits(pools: Sequence[Pool], cluster: Cluster) -> bool:
    """Whether all workers could be there at the same time."""
    taken = memory_of(pools, cluster)
    return taken is not None and taken <= for_workers(cluster)


def memory_of(pools: Sequence[Pool], cluster: Cluster) -> int | None:
    """Bytes of RAM that workers take on the node where they take most; None where they do not fit by what
    they hold."""
    places = seats(cluster, [(pool.holding, pool.workers) for pool in pools])
    return None if places is None else fullest(places, [pool.cost.memory for pool in pools])
