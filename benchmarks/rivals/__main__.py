# SPDX-License-Identifier: Apache-2.0
"""Our build beside other ways to run the same models on the same pictures, in turns.

Every contender is a process of its own, from its start to its end, loading of models included; what it
wrote is compared with what the first of its round wrote, sample by sample. Another of them begins in every
round. Raw figures go to `--log`, a line of JSON a run, and the table is of all rounds that are in it: they
may be run one at a time, and `--rounds 0` only tells. Rounds of several machines are a table each.

COMMAND  make rivals; python -m benchmarks.rivals [--images 2000] [--rounds 3] [--only "A;B"] [--log FILE]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.machine import about_here
from benchmarks.memory import MemoryWatch
from benchmarks.quality import CONFIG
from benchmarks.rivals.chain import TWO
from benchmarks.rivals.contents import Content, contents, unlike
from benchmarks.spread import spread, table_head
from models.miniature.world import write_scenes

ROOT = Path(__file__).parents[2]
OURS = "ours"
_BUILD = ("-m", "pipeline", "build", str(CONFIG.relative_to(ROOT)), "--input", "IN", "--output", "OUT")
CONTENDERS = {
    OURS: _BUILD,
    "ours, all stages in two": (*_BUILD, *(part for setting in TWO for part in ("--set", setting))),
    "sequential script": ("-m", "benchmarks.rivals.sequential", "IN", "OUT"),
    "the same, 100 at a time": ("-m", "benchmarks.rivals.sequential", "IN", "OUT", "--batch", "100"),
    "the same, 100 and two threads": (
        *("-m", "benchmarks.rivals.sequential", "IN", "OUT", "--batch", "100", "--threads", "2"),
    ),
    "multiprocessing pool": ("-m", "benchmarks.rivals.pool", "IN", "OUT"),
    "raw Ray Data": ("-m", "benchmarks.rivals.raw_ray", "IN", "OUT"),
    "Data-Juicer": ("-m", "benchmarks.rivals.data_juicer", "IN", "OUT"),
    "NeMo Curator, Ray Data": ("-m", "benchmarks.rivals.nemo_curator", "IN", "OUT"),
    "NeMo Curator, Xenna": ("-m", "benchmarks.rivals.nemo_curator", "IN", "OUT", "--executor", "xenna"),
}
_PACKAGES = "ray", "torch", "transformers", "py-data-juicer", "nemo-curator", "cosmos-xenna"
_TELL = """
import sys
from importlib import metadata
found = (each for name in sys.argv[1:] for each in metadata.distributions(name=name))
print(", ".join(f"{each.name} {each.version}" for each in found))
"""
_MEMORY_EVERY = 5.0
"""Seconds: to look is work too, and more of it where there are more processes."""


def main() -> None:
    """Print a row a contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="contenders, divided by semicolons")
    parser.add_argument("--log", type=Path, default=Path("rivals.jsonl"))
    arguments = parser.parse_args()
    names = arguments.only.split(";") if arguments.only else [name for name in CONTENDERS if _python(name)]
    for name in names:
        if name not in CONTENDERS or not _python(name):
            there = "; ".join(each for each in CONTENDERS if _python(each))
            raise SystemExit(f"{name}: no such contender is here (make rivals); there are: {there}")
    with TemporaryDirectory() as folder:
        if arguments.rounds:
            write_scenes(Path(folder), arguments.images, seed=20261127)
        for _ in range(arguments.rounds):
            before = len(_logged(arguments.log, arguments.images))
            turn = before % len(names)
            _round([*names[turn:], *names[:turn]], Path(folder), arguments.images, arguments.log)
    _told_apart(_logged(arguments.log, arguments.images), arguments.images)


def _round(names: Sequence[str], folder: Path, images: int, log: Path) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    first: dict[str, Content] = {}
    for name in names:
        with TemporaryDirectory(dir=folder) as output:
            run = _run(name, folder / "images", Path(output))
            wrote = contents(Path(output))
        first = first or wrote
        here = about_here(ROOT) | {"packages": packages_of(_python(name))}
        about = {"contender": name, "images": images, "round": stamp, **here, **run}
        about["samples"], about["subjects"] = len(wrote), sum(len(each.subjects) for each in wrote.values())
        about["unlike"] = unlike(wrote, first)
        with log.open("a") as lines:
            lines.write(json.dumps(about) + "\n")
        print(name, {key: about[key] for key in ("seconds", "samples", "subjects", "unlike")}, flush=True)


def _logged(log: Path, images: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Runs by round and contender, the oldest first."""
    rounds: dict[str, dict[str, dict[str, Any]]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        run = json.loads(line)
        if run["images"] == images:
            rounds.setdefault(run["round"], {})[run["contender"]] = run
    return rounds


def _run(name: str, source: Path, output: Path) -> dict[str, Any]:
    places = {"IN": str(source), "OUT": str(output)}
    command = [_python(name), *(places.get(part, part) for part in CONTENDERS[name])]
    # A thread a process, for everybody: two processes are to be two cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    stamped, stamp = time.time(), datetime.now(UTC).isoformat(timespec="seconds")
    began = time.perf_counter()
    with MemoryWatch(_MEMORY_EVERY) as memory:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    _end_what_is_left(stamped)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    peak = round(max(memory.sums) / 2**20)
    return {"command": [*CONTENDERS[name]], "time": stamp, "seconds": round(seconds, 2), "peak_mib": peak}


def _end_what_is_left(since: float) -> None:
    """Workers of Ray that outlive their run, as Xenna's monitors do, would take a part of a core."""
    for process in psutil.process_iter(["create_time", "cmdline"]):
        command = process.info["cmdline"] or [""]
        if process.info["create_time"] >= since and command[0].startswith("ray::"):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _python(name: str) -> str:
    """The interpreter of a contender; empty where its environment (`make rivals`) is not there."""
    folder = {"Data-Juicer": ".venv-data-juicer", "NeMo Curator": ".venv-nemo-curator"}.get(
        name.split(",")[0]
    )
    if folder is None:
        return sys.executable
    python = ROOT / folder / "bin" / "python"
    return str(python) if python.exists() else ""


def packages_of(python: str) -> str:
    """What matters of an interpreter's environment, as it says itself."""
    told = subprocess.run([python, "-c", _TELL, *_PACKAGES], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def _told_apart(rounds: Mapping[str, Mapping[str, Mapping[str, Any]]], images: int) -> None:
    """A table a machine."""
    if not rounds:
        raise SystemExit(f"no round of {images} images is there; run one with --rounds 1")
    machines = {stamp: next(iter(runs.values()))["processor"] for stamp, runs in rounds.items()}
    for machine in dict.fromkeys(machines.values()):
        print(f"{machine}:")
        _told({stamp: rounds[stamp] for stamp in rounds if machines[stamp] == machine}, images)


def _told(rounds: Mapping[str, Mapping[str, Mapping[str, Any]]], images: int) -> None:
    runs = [run for each in rounds.values() for run in each.values()]
    heads = ("", "rounds", "images/s", "seconds", "time over ours", "peak MiB")
    print(table_head(*heads, "samples, subjects", "unlike"))
    for name in dict.fromkeys(run["contender"] for run in runs):
        some = [each[name] for each in rounds.values() if name in each]
        pairs = [(each[name], each[OURS]) for each in rounds.values() if {name, OURS} <= each.keys()]
        ratios = [theirs["seconds"] / own["seconds"] for theirs, own in pairs]
        seconds = [run["seconds"] for run in some]
        peak = median(run["peak_mib"] for run in some)
        wrote = "; ".join(sorted({f"{run['samples']}, {run['subjects']}" for run in some}))
        print(
            f"| {name} | {len(some)} | {images / median(seconds):.1f} | {spread(seconds, 0)} | "
            f"{spread(ratios) if ratios else ''} | {peak:,.0f} | {wrote} | "
            f"{max(run['unlike'] for run in some)} |"
        )


if __name__ == "__main__":
    main()
