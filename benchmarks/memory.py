# SPDX-License-Identifier: Apache-2.0
"""Whether memory grows with the number of shards: the same build with few and with many.

Counts the unique memory (USS) of the driver and of everything it started, and what the object store
holds, twice a second. A peak of more readings is a higher one even where nothing grows, so the level in the
middle of a run and towards its end is told as well.

COMMAND  python -m benchmarks.memory [--shards 10 40 120] [--shard-size 25]
"""

import argparse
import sys
import threading
from pathlib import Path
from statistics import median
from subprocess import run
from tempfile import TemporaryDirectory

import psutil

from benchmarks.quality import CONFIG
from models.miniature.world import write_scenes


def main() -> None:
    """Print the peak for each number of shards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 40, 120])
    parser.add_argument("--shard-size", type=int, default=25)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        write_scenes(scenes, max(arguments.shards) * arguments.shard_size, seed=20261122)
        for shards in arguments.shards:
            limit = shards * arguments.shard_size
            command = [sys.executable, "-m", "pipeline", "build", str(CONFIG)]
            command += ["--input", str(scenes / "images")]
            command += ["--output", str(Path(folder, f"out{shards}")), "--limit", str(limit)]
            command += ["--set", f"shard_size={arguments.shard_size}"]
            with MemoryWatch() as memory:
                run(command, check=True, capture_output=True)
            print(f"{shards} shards of {arguments.shard_size}: {memory}", flush=True)


class MemoryWatch:
    """Sums over this process's descendants while the block runs, in bytes."""

    def __init__(self, every: float = 0.5) -> None:
        """
        Args:
            every: so many seconds.
        """
        self.sums: list[int] = []
        self._every = every

    def __str__(self) -> str:
        """In MiB: the peak, and medians round the middle of the run and when four fifths of it are over."""
        middle, late = self._level(0.4, 0.6), self._level(0.7, 0.9)
        return f"peak {max(self.sums) / 2**20:.0f} MiB; mid-run {middle:.0f} MiB, late in it {late:.0f} MiB"

    def _level(self, start: float, end: float) -> float:
        count = len(self.sums)
        return median(self.sums[int(count * start) : int(count * end) + 1]) / 2**20

    def __enter__(self) -> "MemoryWatch":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self.sums.append(sum(map(_unique, psutil.Process().children(recursive=True))))


def _unique(process: psutil.Process) -> int:
    try:
        full, name = process.memory_full_info(), process.name()
    except psutil.Error:
        return 0
    # The object store's pages are shared: count them once, with the process that owns them.
    return full.uss + (full.shared if "raylet" in name else 0)


if __name__ == "__main__":
    main()
