# SPDX-License-Identifier: Apache-2.0
"""How near `plan` comes to what builds really take, at several pool sizes.

A probe of some scenes predicts the wall time of builds of many more; then these are built. All of them have
the same pictures and models, and nothing else should run beside them.

COMMAND  python -m benchmarks.planning [--images 2000] [--probe 200] [--rounds 1]
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.quality import CONFIG
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
from pipeline.survey import Request, begin, opened, survey

LAYOUTS = {
    "1 + 1 + 1 workers": (1, 1, 1),
    "1 + 2 + 1 workers": (1, 2, 1),
    "1 + 2 + 2 workers": (1, 2, 2),
}
_OPENERS = ("read", "caption", "segment")
_CORES = 2


def main() -> None:
    """Print predicted and measured seconds of each layout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--probe", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        write_scenes(Path(folder), arguments.images, seed=20261128)
        images = str(Path(folder, "images"))
        for number in range(arguments.rounds):
            config = load_config(CONFIG)
            origin = opened(config, images, None)
            found = probe(config, Sample.of(origin, origin.listing(), arguments.probe), print)
            for name, workers in LAYOUTS.items():
                predicted = _predicted(found, workers, arguments.images)
                took = _built(images, workers, Path(folder, f"{number}-{sum(workers)}"))
                print(
                    f"{name}: {predicted:.0f} s predicted, {took:.0f} s measured, "
                    f"{100 * (predicted / took - 1):+.0f} %",
                    flush=True,
                )


def _overrides(workers: Sequence[int]) -> list[str]:
    """All of them hold less than there is, however many they are."""
    pairs = zip(_OPENERS, workers, strict=True)
    return [f"stages.{name}.resources={{workers: {count}, cpus: 0.3}}" for name, count in pairs]


def _predicted(found: Measured, workers: Sequence[int], images: int) -> float:
    config = load_config(CONFIG, _overrides(workers))
    pools = pools_of(operators(config.stages), found)
    return simulate(pools, Cluster(1, _CORES, 0), images, config.shard_size, found.machine).seconds


def _built(images: str, workers: Sequence[int], output: Path) -> float:
    config = load_config(CONFIG, _overrides(workers))
    began = time.perf_counter()
    with Lease.take(output) as lease:
        execute(begin(survey(Request(config, images, output))), RunOptions(), lease)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
