# SPDX-License-Identifier: Apache-2.0
"""Whether a build of more images, smaller shards or more workers is as fast, and its driver as small.

Speed is that of the run once its first shard is there; start-up is told apart. Memory is what the driver's
process alone holds (USS), at its peak and as a median of the run's second half.

A small build looks fast: much of it is captioned before its first shard is there, and its last shards have
the cores to themselves. So speed is told beside that of the slowest pool as well, by what its stages took in
the same build. Images are built in shards of `--size`; shards and workers, of `--of` images, change one thing
of the miniature's configuration: how many images a shard has, or how many processes there are, each with all
stages.

COMMAND  python -m benchmarks.growth [--images 500 2000 8000] [--shards 25 400] [--workers 1 2] [--rounds 3]
"""

import argparse
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from benchmarks.quality import CONFIG
from benchmarks.rivals.chain import TWO
from benchmarks.spread import spread, table_head
from benchmarks.steady import pool_rate, steady
from models.miniature.world import write_scenes
from pipeline.config import load_config
from pipeline.operators import operators
from pipeline.wording import counted


@dataclass(frozen=True, slots=True)
class Grown:
    """A build."""

    first: float
    """Seconds until the first shard was there."""
    rate: float
    """Images a second from then on."""
    kept: float
    """Of what its slowest pool could do."""
    peak: float
    """MiB of the driver."""
    late: float
    """MiB of the driver in the second half, median."""


@dataclass(frozen=True, slots=True)
class Build:
    """What is built."""

    count: int
    settings: tuple[str, ...] = ()


def main() -> None:
    """Print a row a build."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[500, 2000, 8000])
    parser.add_argument("--size", type=int, default=100, help="images of a shard, for images")
    parser.add_argument("--shards", type=int, nargs="*", default=[], help="images of a shard")
    parser.add_argument("--workers", type=int, nargs="*", default=[], help="processes")
    parser.add_argument("--of", type=int, default=2000, help="images, for shards and workers")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    size = (f"shard_size={arguments.size}",)
    builds = {f"{count:,} images": Build(count, size) for count in arguments.images}
    builds |= {f"{size} a shard": Build(arguments.of, (f"shard_size={size}",)) for size in arguments.shards}
    builds |= {
        counted(workers, "worker"): Build(arguments.of, (*TWO, f"stages.read.resources.workers={workers}"))
        for workers in arguments.workers
    }
    runs: dict[str, list[Grown]] = {name: [] for name in builds}
    with TemporaryDirectory() as folder:
        write_scenes(Path(folder, "scenes"), max(each.count for each in builds.values()), seed=20261129)
        for number in range(arguments.rounds):
            for place, (name, build) in enumerate(builds.items()):
                output = Path(folder, f"{number}-{place}")
                runs[name].append(built(build, Path(folder, "scenes", "images"), output))
                print(name, runs[name][-1], flush=True)
    heads = ("", "first shard, s", "images/s from then on", "of its slowest pool")
    print(table_head(*heads, "driver: peak, MiB", "later"))
    for name, some in runs.items():
        print(
            f"| {name} | {median(run.first for run in some):.1f} | {spread([run.rate for run in some], 1)} | "
            f"{spread([run.kept for run in some])} | "
            f"{median(run.peak for run in some):.0f} | {median(run.late for run in some):.0f} |"
        )


def built(build: Build, images: Path, output: Path) -> Grown:
    """Build from some of the pictures."""
    command = [sys.executable, "-m", "pipeline", "build", str(CONFIG), "--input", str(images)]
    command += [part for setting in build.settings for part in ("--set", setting)]
    began = time.time()
    process = subprocess.Popen(
        [*command, "--output", str(output), "--limit", str(build.count)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    held = _watched(process)
    if process.wait():
        raise SystemExit(f"the build of {build} failed")
    run, chain = steady(output), operators(load_config(CONFIG, build.settings).stages)
    return Grown(
        run.first - began,
        run.rate,
        run.rate / pool_rate(chain, output),
        max(held) / 2**20,
        median(held[len(held) // 2 :]) / 2**20,
    )


def _watched(process: subprocess.Popen[bytes]) -> list[int]:
    """What a process holds, twice a second, until it ends."""
    held: list[int] = []

    def watch() -> None:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                held.append(driver.memory_full_info().uss)
            except psutil.Error:
                return
            time.sleep(0.5)

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    return held


if __name__ == "__main__":
    main()
