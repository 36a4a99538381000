# SPDX-License-Identifier: Apache-2.0
"""Whether memory grows with the number of shards: the same build with few and with many.

Counts the unique memory (USS) of the driver and of everything it started, and what the object store
holds, twice a second.

COMMAND  python -m benchmarks.memory [--shards 10 40] [--shard-size 25]
"""

import argparse
import sys
import threading
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

import psutil

from benchmarks.quality import CONFIG
from models.miniature.world import write_scenes


def main() -> None:
    """Print the peak for each number of shards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 40])
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
            with PeakMemory() as peak:
                run(command, check=True, capture_output=True)
            print(f"{shards} shards of {arguments.shard_size}: peak {peak.bytes / 2**20:.0f} MiB", flush=True)


class PeakMemory:
    """Highest sum over this process's descendants while the block runs."""

    bytes = 0

    def __enter__(self) -> "PeakMemory":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.bytes = max(self.bytes, sum(map(_unique, psutil.Process().children(recursive=True))))


def _unique(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    # The object store's pages are shared: count them once, with the process that owns them.
    store = full.shared if "raylet" in process.name() else 0
    return full.uss + store


if __name__ == "__main__":
    main()
