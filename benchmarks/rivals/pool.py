# SPDX-License-Identifier: Apache-2.0
"""A pool of processes, each with all models, a hundred pictures at a time: hard to beat on one machine.

COMMAND  python -m benchmarks.rivals.pool IN OUT [--processes 2]
"""

import multiprocessing
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rivals.chain import ALL, asked, jobs, table_of, through, write_tar


def main() -> None:
    """All pictures of a folder."""
    parser = asked(__doc__)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for _ in pool.imap_unordered(_work, jobs(arguments.source, arguments.output)):
            pass


def _work(job: tuple[Sequence[Path], Path]) -> None:
    paths, tar = job
    write_tar(tar, through(ALL, table_of(paths)))


if __name__ == "__main__":
    main()
