# SPDX-License-Identifier: Apache-2.0
"""What a build of a whole source takes on a cluster: pools, bottleneck, hours, bytes, price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from pipeline.operators import Operator, needed_cpus, needed_gpus, spare_line
from pipeline.planning.cluster import Cluster
from pipeline.planning.measured import Measured
from pipeline.planning.memory import memory_line
from pipeline.planning.pools import Pool, memory_of
from pipeline.planning.simulation import Simulated

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything that is told."""

    measured: Measured
    pools: Sequence[Pool]
    cluster: Cluster
    simulated: Simulated
    images: int
    shard_size: int
    batch: int
    """The most images that a stage has in a batch, of such shards."""
    price: float | None
    """Of an hour of a GPU, or of a CPU where there are no GPUs."""
    failures: float
    """Of a worker in an hour, as simulated."""

    def pool_table(self) -> Table:
        """A line an operator."""
        heads = "operator", "s/image", "CPU s", "stages, ms", "MiB", "GPU MiB", "workers", "each holds"
        table = Table(*heads, "images/s, all busy", "busy", box=None, header_style="bold")
        for pool, busy in zip(self.pools, self.simulated.busy, strict=True):
            cost, holding = pool.cost, pool.holding
            stages = ", ".join(f"{name} {1000 * seconds:.2f}" for name, seconds in cost.stages.items())
            held = f"{holding.cpus:g} CPU" + (f" + {holding.gpus:g} GPU" if holding.gpus else "")
            table.add_row(
                cost.name,
                f"{cost.seconds:.4f}",
                f"{cost.cpu_seconds:.4f}",
                stages,
                f"{cost.memory / _MIB:,.0f}",
                f"{cost.gpu_memory / _MIB:,.0f}" if cost.gpu_memory else "",
                str(pool.workers),
                held,
                f"{pool.rate:,.1f}",
                f"{100 * busy:.0f} %",
            )
        return table

    @property
    def bottleneck(self) -> Pool:
        """The slowest pool."""
        return min(self.pools, key=lambda pool: pool.rate)

    def lines(self) -> list[str]:
        """The rest."""
        run, gpus, cpus = self.simulated, self.cluster.all_gpus, self.cluster.all_cpus
        hours = run.seconds / 3600
        paid, unit = (gpus, "GPU") if gpus else (cpus, "CPU")
        lines = [
            f"measured     {self.measured.images:,} images, of which {self.measured.samples:,} became "
            f"samples, on {self.measured.processor}, {self.measured.day}",
            *self._unfilled(),
            f"cluster      {self.cluster}; {self._held()}",
            f"memory       {memory_line(memory_of(self.pools, self.cluster) or 0, self.cluster)}",
            f"bottleneck   {self._narrow()}",
            f"wall time    {span(run.seconds)} for {self.images:,} images, {self.images / run.seconds:,.1f} "
            f"images/s; first shard after {span(run.first)}",
            f"driver       {self._driven()}",
            f"{unit}-hours    {hours * paid:,.1f}"
            + (f" (and {hours * cpus:,.0f} CPU-hours)" if gpus else ""),
            f"output       {size(self.images * self.measured.output)}",
        ]
        if lost := spare_line(self._chain, self.cluster.parts):
            lines.append(f"a lost node  {lost} (--spare-nodes 1 leaves room)")
        if self.failures:
            lines.append(f"failures     {run.failures:,} workers, at {self.failures:g} an hour each")
        if self.price is not None:
            lines.append(f"price        {hours * paid * self.price:,.2f} at {self.price:g} a {unit}-hour")
        overrides = " ".join(
            f"--set stages.{pool.cost.name.partition('+')[0]}.resources.workers={pool.workers}"
            for pool in self.pools
        )
        return [*lines, f"pools        {overrides}"]

    @property
    def _chain(self) -> list[Operator]:
        return [pool.operator for pool in self.pools]

    def _held(self) -> str:
        cpus = f"{needed_cpus(self._chain):g} of {self.cluster.all_cpus} CPUs"
        gpus = f" and {needed_gpus(self._chain):g} of {self.cluster.all_gpus} GPUs"
        return f"workers hold {cpus}{gpus if self.cluster.all_gpus else ''}"

    def _unfilled(self) -> list[str]:
        """What was measured of batches that were not full."""
        if self.measured.shard >= self.batch:
            return []
        return [
            f"             in batches of {self.measured.shard} at most, not of {self.batch}: a worker takes "
            "more memory than told, and less time"
        ]

    def _driven(self) -> str:
        busy = 100 * self.images / self.simulated.seconds / self.simulated.driver
        return f"busy {busy:.0f} % of the time at least, in shards of {self.shard_size}"

    def _narrow(self) -> str:
        slowest, run = self.bottleneck, self.simulated
        if run.driver < min(run.cores, slowest.rate):
            most = f"{run.driver:,.1f} images/s at most"
            return f"Ray's driver: {most}; larger shards (shard_size) leave it less to do"
        if run.cores < slowest.rate:
            return f"the CPUs: {run.cores:,.1f} images/s at most, whatever the workers"
        if slowest.holding.gpus and self.images / run.seconds > slowest.rate:
            # A worker takes what its neighbours on the GPU leave, whatever it holds.
            return f"the GPUs, which workers share: {slowest.cost.name} has least of them"
        return f"{slowest.cost.name}: {slowest.rate:,.1f} images/s while all workers are busy"


def span(seconds: float) -> str:
    """`45 s`, `12.5 min`, `3.20 h`, `12.1 days`."""
    for unit, length, least in (("days", 86_400, 3), ("h", 3600, 2), ("min", 60, 2)):
        if seconds >= least * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Bytes as people say them: `1.2 TB`."""
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
