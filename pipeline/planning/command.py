# SPDX-License-Identifier: Apache-2.0
"""What `plan` does where something is measured: the bill of a build."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import BuildConfig
from pipeline.errors import UserError
from pipeline.operators import operators
from pipeline.planning.bill import Bill
from pipeline.planning.cluster import Cluster
from pipeline.planning.measured import Measured, read_measured, write_measured
from pipeline.planning.pools import check_fits, pools_of, sized
from pipeline.planning.probe import probe
from pipeline.planning.simulation import simulate
from pipeline.survey import opened

_GPUS_A_NODE = 8


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
    gpus: int
    cpus: int
    nodes: int | None
    price: float | None
    failures: float
    as_configured: bool
    """Whether the configuration's pools are kept."""


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
    cluster = _cluster(request)
    found = _measured(request, tell)
    images = request.images or _there(request)
    pools = pools_of(operators(request.config.stages), found)
    if request.as_configured:
        check_fits(pools, cluster, found.gpu_total)
    else:
        pools = sized(pools, cluster)
        check_fits(pools, cluster, found.gpu_total)
    run = simulate(pools, cluster, images, request.config.shard_size, found.start, request.failures)
    return Bill(found, pools, cluster, run, images, request.price, request.failures)


def _cluster(request: BillRequest) -> Cluster:
    nodes = request.nodes or max(1, request.gpus // _GPUS_A_NODE)
    if request.cpus % nodes or request.gpus % nodes:
        raise UserError(
            f"{request.cpus} CPUs and {request.gpus} GPUs are not {nodes} equal nodes; give --nodes N that "
            "divides both"
        )
    return Cluster(nodes, request.cpus // nodes, request.gpus // nodes)


def _measured(request: BillRequest, tell: Callable[[str], None]) -> Measured:
    if request.probe is None:
        if request.measured is None:
            raise UserError("nothing is measured; give --probe N with --input, or --measured FILE of a probe")
        return read_measured(request.measured)
    if request.source is None:
        raise UserError("--probe measures pictures; give --input")
    found = probe(request.config, opened(request.config, request.source, None), request.probe, tell)
    if request.measured is not None:
        write_measured(found, request.measured)
    return found


def _there(request: BillRequest) -> int:
    if request.source is None:
        raise UserError("how many images? give --images, or --input to count them")
    return opened(request.config, request.source, None).listing().num_rows
