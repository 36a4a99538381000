# SPDX-License-Identifier: Apache-2.0
"""Everything that a dataset has to survive, one row each: the table in the README.

COMMAND  python -m benchmarks.faults [--quick] [--only kills nodes ...] [--log FILE]
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from benchmarks.faults import corruption, disk, drivers, fuzz, kills, malformed, nodes, points

_SEED = 20261121


class Result(Protocol):
    """What came of one test."""

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        ...

    def line(self) -> str:
        """The row of a table."""
        ...


def tests(quick: bool) -> dict[str, Callable[[], Result]]:
    """By name, what runs a test."""
    few = 10 if quick else 1
    return {
        "kills": lambda: kills.run(200 // few, _SEED),
        "miniature_kills": lambda: kills.run(40 // few, _SEED + 1, miniature=True),
        "points": points.run,
        "nodes": lambda: nodes.run(1 if quick else 5, _SEED),
        "malformed": lambda: malformed.run(2000 // few),
        "fuzz": lambda: fuzz.run(20_000 // few, _SEED),
        "corruption": lambda: _in_a_folder(lambda folder: corruption.run(folder, 240 // few, _SEED)),
        "disk": lambda: _in_a_folder(lambda folder: disk.run(folder, miniature=not quick)),
        "drivers": lambda: drivers.run(10 // few),
    }


def _in_a_folder(run: Callable[[Path], Result]) -> Result:
    with TemporaryDirectory() as folder:
        return run(Path(folder))


def main() -> int:
    """Print the table, a row as soon as it is known; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", nargs="+", choices=[*tests(True)], help="some of the tests")
    parser.add_argument("--log", type=Path, help="a file that gets the table as well")
    arguments = parser.parse_args()
    chosen = {
        name: run for name, run in tests(arguments.quick).items() if name in (arguments.only or tests(True))
    }
    _tell(_head(), arguments.log)
    held = True
    for run in chosen.values():
        result = run()
        held &= result.held
        _tell(result.line(), arguments.log)
    return 0 if held else 1


def _head() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, cwd=Path(__file__).parent).stdout.strip()
    day = datetime.now(UTC).date().isoformat()
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}"
    return f"{day}, seed {_SEED}, commit {commit or 'unknown'}, {where}\n\n| test | measured |\n|---|---|"


def _tell(text: str, log: Path | None) -> None:
    print(text, flush=True)
    if log is not None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
