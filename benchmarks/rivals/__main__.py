# SPDX-License-Identifier: Apache-2.0
"""Our build beside other ways to run the same models on the same pictures, in turns.

Every contender is a process of its own, from its start to its end, loading of models included; what it
wrote is counted, and has to be what the others wrote. Raw figures go to `--log`, a line of JSON a run, and
the table is of all rounds that are in it: they may be run one at a time, and `--rounds 0` only tells.

COMMAND  make rivals; python -m benchmarks.rivals [--images 2000] [--rounds 3] [--only ours,...] [--log FILE]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.memory import MemoryWatch
from benchmarks.quality import CONFIG
from benchmarks.rivals.chain import TWO, counted
from models.miniature.world import write_scenes

ROOT = Path(__file__).parents[2]
CONTENDERS = {
    "ours": ("-m", "pipeline", "build", str(CONFIG), "--input", "IN", "--output", "OUT"),
    "ours, all stages in two": ("-m", "pipeline", "build", str(TWO), "--input", "IN", "--output", "OUT"),
    "sequential script": ("-m", "benchmarks.rivals.sequential", "IN", "OUT"),
    "the same in batches": ("-m", "benchmarks.rivals.sequential", "IN", "OUT", "--batch", "16"),
    "multiprocessing pool": ("-m", "benchmarks.rivals.pool", "IN", "OUT"),
    "raw Ray Data": ("-m", "benchmarks.rivals.raw_ray", "IN", "OUT"),
    "Data-Juicer": ("-m", "benchmarks.rivals.data_juicer", "IN", "OUT"),
    "NeMo Curator": ("-m", "benchmarks.rivals.nemo_curator", "IN", "OUT"),
}
PYTHONS = {"Data-Juicer": ".venv-data-juicer", "NeMo Curator": ".venv-nemo-curator"}
"""Environments of their own (`make rivals`); who has none there is left out."""


def main() -> None:
    """Print a row a contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="contenders, with commas")
    parser.add_argument("--log", type=Path, default=Path("rivals.jsonl"))
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else [name for name in CONTENDERS if _python(name)]
    with TemporaryDirectory() as folder:
        if arguments.rounds:
            write_scenes(Path(folder), arguments.images, seed=20261127)
        for number in range(arguments.rounds):
            for name in names:
                run = _run(name, Path(folder, "images"), Path(folder, f"{name}-{number}"))
                about = {"contender": name, "images": arguments.images, "machine": platform.platform(), **run}
                with arguments.log.open("a") as log:
                    log.write(json.dumps(about) + "\n")
                print(name, run, flush=True)
    _told(_logged(arguments.log, arguments.images), arguments.images)


def _logged(log: Path, images: int) -> dict[str, list[dict[str, Any]]]:
    """Runs by contender, the oldest first."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for line in log.read_text().splitlines():
        run = json.loads(line)
        if run["images"] == images:
            runs.setdefault(run["contender"], []).append(run)
    return runs


def _run(name: str, source: Path, output: Path) -> dict[str, float | str]:
    output.mkdir()
    places = {"IN": str(source), "OUT": str(output)}
    command = [_python(name), *(places.get(part, part) for part in CONTENDERS[name])]
    # A thread a process, for everybody: two processes are to be two cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    began, stamp = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    with MemoryWatch() as memory:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    return {
        "time": stamp,
        "seconds": round(seconds, 2),
        "peak_mib": round(max(memory.sums) / 2**20),
        **counted(output),
    }


def _python(name: str) -> str:
    """The interpreter of a contender; empty where it is not installed."""
    if name not in PYTHONS:
        return sys.executable
    python = ROOT / PYTHONS[name] / "bin" / "python"
    return str(python) if python.exists() else ""


def _told(runs: dict[str, list[dict]], images: int) -> None:
    wrote = {(run["samples"], run["subjects"]) for some in runs.values() for run in some}
    if len(wrote) != 1:
        raise SystemExit(f"not all wrote the same samples and subjects: {sorted(wrote)}")
    heads = ["", "images/s", "seconds", "time over the first's", "peak MiB", "samples, subjects"]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    ours = [run["seconds"] for run in next(iter(runs.values()))]
    for name, some in runs.items():
        seconds = [run["seconds"] for run in some]
        ratios = [theirs / own for theirs, own in zip(seconds, ours, strict=False)]
        print(
            f"| {name} | {images / median(seconds):.1f} | {median(seconds):.0f} ({min(seconds):.0f} to "
            f"{max(seconds):.0f}) | {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | "
            f"{median(run['peak_mib'] for run in some):,.0f} | {some[0]['samples']}, {some[0]['subjects']} |"
        )


if __name__ == "__main__":
    main()
