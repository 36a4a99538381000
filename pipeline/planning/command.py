# SPDX-License-Identifier: Apache-2.0
"""What `plan` does where something is measured: the bill of a build."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import BuildConfig
from pipeline.errors import UserError
from pipeline.operators import operators
from pipeline.planning.bill import Bill
from pipeline.planning.cluster import Cluster
from pipeline.planning.measured import Measured, check_writable, read_measured, write_measured
from pipeline.planning.pools import check_fits, pools_of, sized
from pipeline.planning.probe import largest_batch, probe
from pipeline.planning.sample import Sample
from pipeline.planning.simulated_run import NeverDone
from pipeline.planning.simulation import simulate
from pipeline.planning.tuned import tuned
from pipeline.survey import opened
from pipeline.wording import counted

_GPUS_A_NODE = 8
_CORES_A_NODE = 256


@dataclass(frozen=True, slots=True)
class BillRequest:
    """What a person asks for."""

    config: BuildConfig
    source: str | None
    probe: int | None
    """Images to measure; None to take what `measured` says."""
    measured: Path | None
    """A probe's file."""
    images: int | None
    """Of the whole source; what is there if not given."""
    limit: int | None
    """Only the first of what is there."""
    gpus: int
    cpus: int
    nodes: int | None
    memory: float | None
    """GiB of RAM of a node."""
    price: float | None
    """Of a GPU-hour, or of a CPU-hour where there are no GPUs."""
    failures: float
    as_configured: bool
    """Whether the configuration's pools are kept."""
    spare_nodes: int = 0
    """Of the cluster, to hold the workers of as many that are lost."""


def bill(
    request: BillRequest, tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr)
) -> Bill:
    """Measure, or read what was measured, and work out what the cluster makes of it.

    Args:
        request: see there.
        tell: of progress.

    Raises:
        UserError: nothing to measure, no such file, or a layout that could not run.
    """
    _check_numbers(request)
    config, cluster = request.config, _cluster(request)
    found, images = _measured(request, tell)
    if not images:
        raise UserError(f"{request.source} has no images to plan for; give another --input, or --images")
    batch = largest_batch(config)[1]
    found = found.for_shards(config.shard_size, batch)
    pools, held = pools_of(operators(config.stages), found), cluster.without(request.spare_nodes)
    if not request.as_configured:
        pools = tuned(sized(pools, held), held, images, config.shard_size, found.machine)
    check_fits(pools, held, found.gpu_total)
    try:
        run = simulate(pools, cluster, images, config.shard_size, found.machine, request.failures)
    except NeverDone as error:
        raise UserError(
            f"--failures {request.failures:g}: {error}; lower shard_size, or --failures"
        ) from error
    return Bill(
        found,
        pools,
        cluster,
        run,
        images,
        config.shard_size,
        min(batch, config.shard_size),
        request.price,
        request.failures,
    )


def _check_numbers(request: BillRequest) -> None:
    for name in ("memory", "price", "failures"):
        given = getattr(request, name)
        if given is not None and not math.isfinite(given):
            raise UserError(f"--{name} {given}: give a number")


def _cluster(request: BillRequest) -> Cluster:
    nodes = request.nodes or max(1, math.ceil(request.gpus / _GPUS_A_NODE))
    if request.nodes is None and request.cpus > nodes * _CORES_A_NODE:
        raise UserError(f"how many machines are {request.cpus} CPUs? give --nodes")
    if request.spare_nodes >= nodes:
        raise UserError(f"--spare-nodes {request.spare_nodes} leaves none of {counted(nodes, 'node')}")
    if request.cpus % nodes or request.gpus % nodes:
        raise UserError(
            f"{request.cpus} CPUs and {request.gpus} GPUs are not {nodes} equal nodes; give --nodes N that "
            "divides both"
        )
    memory = math.inf if request.memory is None else request.memory * 2**30
    return Cluster(nodes, request.cpus // nodes, request.gpus // nodes, memory)


def _measured(request: BillRequest, tell: Callable[[str], None]) -> tuple[Measured, int]:
    """What was measured, and how many images the whole source has."""
    if request.probe is None and request.measured is None:
        raise UserError("nothing is measured; give --probe N with --input, or --measured FILE of a probe")
    if request.source is None or (request.probe is None and request.images is not None):
        return _known(request)
    if request.probe is not None and request.measured is not None:
        check_writable(request.measured)
    origin = opened(request.config, request.source, None)
    # Once: of a large source it takes minutes.
    listing = origin.listing().slice(0, request.limit)
    images = request.images or listing.num_rows
    if request.probe is None:
        assert request.measured is not None
        return read_measured(request.measured), images
    found = probe(request.config, Sample.of(origin, listing, request.probe), tell)
    if request.measured is not None:
        write_measured(found, request.measured)
    return found, images


def _known(request: BillRequest) -> tuple[Measured, int]:
    if request.probe is not None or request.measured is None:
        raise UserError("--probe measures pictures; give --input")
    found = read_measured(request.measured)
    if request.images is None:
        raise UserError("how many images? give --images, or --input to count them")
    if request.limit is not None:
        raise UserError("--limit is of what --input has, which is not looked at; give --images alone")
    return found, request.images
