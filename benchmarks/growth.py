# SPDX-License-Identifier: Apache-2.0
"""Whether a build of more images is as fast, and its driver as small, as one of fewer.

Speed is that of the run once its first shard is there; start-up is told apart. Memory is what the driver's
process alone holds (USS), at its peak and as a median of the run's second half.

COMMAND  python -m benchmarks.growth [--images 500 2000 8000] [--rounds 3]
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
from benchmarks.steady import steady
from models.miniature.world import write_scenes


@dataclass(frozen=True, slots=True)
class Grown:
    """A build."""

    first: float
    """Seconds until the first shard was there."""
    rate: float
    """Images a second from then on."""
    peak: float
    """MiB of the driver."""
    late: float
    """MiB of the driver in the second half, median."""


def main() -> None:
    """Print a row a number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 2000, 8000])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[int, list[Grown]] = {count: [] for count in arguments.images}
    with TemporaryDirectory() as folder:
        write_scenes(Path(folder, "scenes"), max(arguments.images), seed=20261129)
        for number in range(arguments.rounds):
            for count, some in runs.items():
                some.append(built(Path(folder, "scenes", "images"), Path(folder, f"{number}-{count}"), count))
                print(count, some[-1], flush=True)
    print("| images | first shard, s | images/s from then on | driver: peak, MiB | later |\n|" + "---|" * 5)
    for count, some in runs.items():
        rates = [run.rate for run in some]
        print(
            f"| {count:,} | {median(run.first for run in some):.1f} | "
            f"{median(rates):.1f} ({min(rates):.1f} to {max(rates):.1f}) | "
            f"{median(run.peak for run in some):.0f} | {median(run.late for run in some):.0f} |"
        )


def built(images: Path, output: Path, count: int) -> Grown:
    """Build from some of the pictures."""
    command = [sys.executable, "-m", "pipeline", "build", str(CONFIG), "--input", str(images)]
    began = time.time()
    process = subprocess.Popen(
        [*command, "--output", str(output), "--limit", str(count)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    held = _watched(process)
    if process.wait():
        raise SystemExit(f"the build of {count} images failed")
    run = steady(output)
    return Grown(
        run.first - began,
        run.rate,
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
