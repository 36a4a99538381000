# SPDX-License-Identifier: Apache-2.0
"""A script such as those that come with Grounded-SAM: one process, one picture after another.

COMMAND  python -m benchmarks.rivals.sequential IN OUT [--batch 1]
"""

import argparse
from pathlib import Path

import pyarrow as pa

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

_IN_A_TAR = 100


def main() -> None:
    """All pictures of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    functions = stage_functions([*LIGHT, *FIRST, *SECOND])
    paths = pictures(arguments.source)
    for start in range(0, len(paths), _IN_A_TAR):
        some = paths[start : start + _IN_A_TAR]
        done = [
            through(functions, table_of(some[place : place + arguments.batch]))
            for place in range(0, len(some), arguments.batch)
        ]
        table = pa.concat_tables(done, promote_options="default")
        write_tar(arguments.output / f"{start // _IN_A_TAR:05d}.tar", table)


if __name__ == "__main__":
    main()
