# SPDX-License-Identifier: Apache-2.0
"""Every kind of malformed picture file among good ones, given to the real command.

The build must end well, `verify` must find nothing, each file must have exactly one row, each malformed one
with the reason that its kind is to have, and no good one may be lost with it.

COMMAND  python -m benchmarks.faults.malformed [--good 2000] [--copies 3] [--executor ray]
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from subprocess import run as run_process
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.faults.malformed_files import malformed_files
from benchmarks.faults.pictures import encoded, noise

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF"}
CHAIN = ["read", "tests.pipeline.no_subjects:NoSubjects", "write"]

Row = tuple[str, str | None, str | None]
"""Status, stage, reason."""


@dataclass
class Result:
    """Counts of one build."""

    good: int
    kinds: int
    malformed: int
    rows: int = 0
    crashes: list[str] = field(default_factory=list)
    """What ended with another exit code than 0, and its last words."""
    wrong: list[str] = field(default_factory=list)
    """Files without a row, with two, or with another one than they should have."""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return not self.crashes and not self.wrong

    def line(self) -> str:
        """One line of a table."""
        return (
            f"| malformed images: {self.kinds} kinds, {self.malformed} files among {self.good:,} good ones | "
            f"{len(self.crashes)} crashes, {len(self.wrong)} without their one row and reason "
            f"({self.seconds:.0f} s) |"
        )


def run(good: int = 2000, copies: int = 3, executor: str = "ray") -> Result:
    """Build a dataset of `good` pictures and `copies` files of each malformed kind, spread among them."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        wanted = _write(home / "pictures", good, copies)
        (home / "config.yaml").write_text(yaml.safe_dump({"chain": CHAIN, "shard_size": 100}))
        result = Result(good, len(malformed_files()), len(wanted) - good)
        started = time.perf_counter()
        _command(result, "build", home / "config.yaml", "--input", home / "pictures", *_to(home, executor))
        _command(result, "verify", home / "dataset")
        result.seconds = time.perf_counter() - started
        if not result.crashes:
            _compare(result, wanted, home / "dataset" / "_meta" / "index.parquet")
        return result


def _to(home: Path, executor: str) -> list[object]:
    return ["--output", home / "dataset", "--executor", executor]


def _write(folder: Path, good: int, copies: int) -> dict[str, Row]:
    folder.mkdir()
    wanted: dict[str, Row] = {}
    for number in range(good):
        ending = list(FORMATS)[number % len(FORMATS)]
        name = f"{number:06d}.{ending}"
        (folder / name).write_bytes(encoded(noise(number, 64, 48), FORMATS[ending]))
        wanted[name] = ("ok", None, None)
    kinds = malformed_files() * copies
    # The names decide where each stands: a kind meets other neighbours each time.
    places = np.random.default_rng(0).integers(0, good + 1, len(kinds))
    for number, (kind, place) in enumerate(zip(kinds, places, strict=True)):
        name = f"{place:06d}_{number:03d}_{kind.name}"
        kind.put(folder / name)
        wanted[name] = (kind.status, "read", kind.reason)
    return wanted


def _command(result: Result, *arguments: object) -> None:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    ended: CompletedProcess[str] = run_process(command, capture_output=True, text=True)
    if ended.returncode or "Traceback" in ended.stderr:
        result.crashes.append(f"{arguments[0]}: exit code {ended.returncode}: {ended.stderr[-500:]}")


def _compare(result: Result, wanted: dict[str, Row], index: Path) -> None:
    columns = ["source_key", "status", "stage", "reason"]
    rows = pq.read_table(index, columns=columns).to_pylist()
    result.rows = len(rows)
    times = Counter(row["source_key"] for row in rows)
    found = {row["source_key"]: (row["status"], row["stage"], row["reason"]) for row in rows}
    result.wrong = [
        f"{name}: {times[name]} rows, {found.get(name)} instead of {wanted.get(name)}"
        for name in sorted(wanted | found)
        if times[name] != 1 or found.get(name) != wanted.get(name)
    ]


def main() -> None:
    """Print what went wrong, and the table's line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--good", type=int, default=2000)
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--executor", choices=["ray", "local"], default="ray")
    arguments = parser.parse_args()
    result = run(arguments.good, arguments.copies, arguments.executor)
    print(*result.crashes, *result.wrong, result.line(), sep="\n")


if __name__ == "__main__":
    main()
