# SPDX-License-Identifier: Apache-2.0
"""What it costs to begin, to be killed half-way and go on, and to run again when all is done.

A build is run once as it is, and once killed (SIGKILL, the driver and all that it started) when half of its
shards are there and started again: what the second takes longer is the cost of the kill. Then a dataset of
many small shards, which is finished, is asked for again.

COMMAND  python -m benchmarks.restarts [--images 2000] [--shards 500] [--rounds 3]
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.faults.light import light_config, pictures
from benchmarks.quality import CONFIG
from benchmarks.spread import spread, table_head
from models.miniature.world import write_scenes
from pipeline.config import load_config


def main() -> None:
    """Print seconds, medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--shards", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder / "scenes", arguments.images, seed=20261130)
        half = arguments.images / load_config(CONFIG).shard_size / 2
        spans: dict[str, list[float]] = {"whole": [], "killed and gone on": [], "the kill's cost": []}
        for number in range(arguments.rounds):
            command = _command(CONFIG, folder / "scenes" / "images")
            whole = _timed([*command, "--output", str(folder / f"whole{number}")])
            killed = _killed(command, folder / f"killed{number}", half)
            for spent, seconds in zip(spans.values(), (whole, killed, killed - whole), strict=True):
                spent.append(seconds)
        print(table_head("", "seconds"))
        for what, spent in spans.items():
            _tell(f"{arguments.images} scenes, {what}", spent)
        _tell(f"again, {arguments.shards} shards", _no_op(folder, arguments.shards, arguments.rounds))


def _command(config: Path, images: Path) -> list[str]:
    return [sys.executable, "-m", "pipeline", "build", str(config), "--input", str(images)]


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _killed(command: list[str], output: Path, half: float) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--output", str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and len([*output.glob("data/*/*_stats.json")]) < half:
        time.sleep(0.1)
    for each in [*psutil.Process(process.pid).children(recursive=True), process]:
        try:
            os.kill(each.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    return time.perf_counter() - began + _timed([*command, "--output", str(output)])


def _no_op(folder: Path, shards: int, rounds: int) -> list[float]:
    config = light_config(folder / "light.yaml", 2, seconds=0)
    command = _command(config, pictures(folder / "pictures", 2 * shards))
    command += ["--output", str(folder / "many")]
    _timed(command)
    return [_timed(command) for _ in range(rounds)]


def _tell(what: str, seconds: list[float]) -> None:
    print(f"| {what} | {spread(seconds, 1)} |", flush=True)


if __name__ == "__main__":
    main()
