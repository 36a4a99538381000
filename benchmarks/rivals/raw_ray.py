# SPDX-License-Identifier: Apache-2.0
"""Ray Data by itself, as its guides have it: files read by its reader, an actor pool a model, a writing task.

Pools and batches are those of our configuration; blocks are a hundred pictures, as our shards are.

COMMAND  python -m benchmarks.rivals.raw_ray IN OUT
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

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

_IN_A_BLOCK = 100


class Stages:
    """An actor with some of the models."""

    def __init__(self, names: Sequence[str]) -> None:
        self._functions = stage_functions(names)

    def __call__(self, table: pa.Table) -> pa.Table:
        """A block."""
        return through(self._functions, table)


def main() -> None:
    """All pictures of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    paths = [str(path.resolve()) for path in pictures(arguments.source)]
    blocks = -(-len(paths) // _IN_A_BLOCK)
    files = ray.data.read_binary_files(
        paths, include_paths=True, override_num_blocks=blocks, ray_remote_args={"num_cpus": 0.2}
    )
    output = str(arguments.output.resolve())
    whole: dict[str, Any] = {"batch_size": None, "batch_format": "pyarrow"}
    stream = files.map_batches(_read, num_cpus=0.2, **whole)
    for names in (FIRST, SECOND):
        stream = stream.map_batches(
            Stages,
            fn_constructor_args=(names,),
            compute=ray.data.ActorPoolStrategy(size=1),
            num_cpus=0.7,
            **whole,
        )
    stream.map_batches(partial(_write, output), num_cpus=0.2, **whole).materialize()


def _read(files: pa.Table) -> pa.Table:
    paths = [Path(path) for path in files["path"].to_pylist()]
    return through(stage_functions(LIGHT), table_of(paths, files["bytes"].to_pylist()))


def _write(output: str, table: pa.Table) -> pa.Table:
    keys = table["key"].to_pylist()
    write_tar(Path(output, f"{keys[0]}.tar"), table)
    return pa.table({"rows": [len(keys)]})


if __name__ == "__main__":
    main()
