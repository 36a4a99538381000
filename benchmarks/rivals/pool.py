# SPDX-License-Identifier: Apache-2.0
"""A pool of processes, each with all models, a hundred pictures at a time: hard to beat on one machine.

COMMAND  python -m benchmarks.rivals.pool IN OUT [--processes 2]
"""

import argparse
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rivals.chain import (
    FIRST,
    LIGHT,
    SECOND,
    pictures,
    stage_functions,
    table_of,
    through,
    write_tar,
)
from stages.base import TableFunction

_IN_A_TAR = 100
_functions: list[TableFunction] = []


def main() -> None:
    """All pictures of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    paths = pictures(arguments.source)
    jobs = [
        (paths[start : start + _IN_A_TAR], arguments.output / f"{start // _IN_A_TAR:05d}.tar")
        for start in range(0, len(paths), _IN_A_TAR)
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.processes, _start) as pool:
        for _ in pool.imap_unordered(_work, jobs):
            pass


def _start() -> None:
    _functions.extend(stage_functions([*LIGHT, *FIRST, *SECOND]))


def _work(job: tuple[Sequence[Path], Path]) -> None:
    paths, output = job
    write_tar(output, through(_functions, table_of(paths)))


if __name__ == "__main__":
    main()
