# SPDX-License-Identifier: Apache-2.0
"""How near `plan` comes to what builds really take, in several layouts.

Of every chain of pools a probe of some scenes predicts the wall time of builds of many more; then these are
built. Layouts differ in what holds them up: one core, a pool, or all cores. All have the same pictures and
models, and nothing else should run beside them. What is measured is told on stderr as it comes. Layouts are
made for two cores, so Ray is told that there are two, and of more the others should be switched off.

COMMAND  python -m benchmarks.planning [--images 2000] [--probe 200] [--rounds 3]
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.quality import CONFIG
from benchmarks.rivals.chain import TWO
from benchmarks.spread import spread, table_head
from models.miniature.world import write_scenes
from pipeline.build import RunOptions, execute
from pipeline.config import load_config
from pipeline.lease import Lease
from pipeline.operators import operators
from pipeline.planning.cluster import Cluster
from pipeline.planning.measured import Measured
from pipeline.planning.pools import pools_of
from pipeline.planning.probe import probe
from pipeline.planning.sample import Sample
from pipeline.planning.simulation import simulate
from pipeline.run_ray import RayOptions
from pipeline.survey import Request, begin, opened, survey

_CORES = 2
_POOLS = {
    "all stages in one worker": (*TWO, "stages.read.resources.workers=1"),
    "all stages in two workers": TWO,
    "three pools (1 + 1 + 1)": (),
    "three pools (1 + 2 + 1)": (
        "stages.caption.resources={workers: 2, cpus: 0.4}",
        "stages.segment.resources.cpus=0.6",
    ),
}


class Layout(NamedTuple):
    """Pools of the miniature's build."""

    name: str
    settings: Sequence[str]


class Told(NamedTuple):
    """Seconds."""

    predicted: float
    took: float


def main() -> None:
    """Print predicted and measured seconds of each layout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--probe", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    layouts = [Layout(name, settings) for name, settings in _POOLS.items()]
    found: dict[str, list[Told]] = {layout.name: [] for layout in layouts}
    with TemporaryDirectory() as folder:
        write_scenes(Path(folder), arguments.images, seed=20261128)
        images = str(Path(folder, "images"))
        for number in range(arguments.rounds):
            measured: dict[str, Measured] = {}
            for layout in layouts:
                output = Path(folder, f"{number} {layout.name}")
                told = _told(layout, images, arguments.images, arguments.probe, measured, output)
                found[layout.name].append(told)
                print(layout.name, told, file=sys.stderr, flush=True)
    print(table_head("layout", "predicted, s", "measured, s", "predicted over measured"))
    for name, some in found.items():
        ratios = [each.predicted / each.took for each in some]
        predicted, took = ([each[place] for each in some] for place in (0, 1))
        print(f"| {name} | {spread(predicted, 0)} | {spread(took, 0)} | {spread(ratios)} |")


def _told(
    layout: Layout, images: str, count: int, some: int, measured: dict[str, Measured], output: Path
) -> Told:
    """Args: `measured` has what was found out about a chain of operators in this round."""
    config = load_config(CONFIG, layout.settings)
    chain = operators(config.stages)
    kind = ", ".join(operator.name for operator in chain)
    if kind not in measured:
        origin = opened(config, images, None)
        sample = Sample.of(origin, origin.listing(), some)
        measured[kind] = probe(config, sample, lambda line: print(line, file=sys.stderr))
    pools = pools_of(chain, measured[kind])
    run = simulate(pools, Cluster(1, _CORES, 0), count, config.shard_size, measured[kind].machine)
    began = time.perf_counter()
    with Lease.take(output) as lease:
        execute(
            begin(survey(Request(config, images, output))), RunOptions(ray=RayOptions(cpus=_CORES)), lease
        )
    return Told(run.seconds, time.perf_counter() - began)


if __name__ == "__main__":
    main()
