# SPDX-License-Identifier: Apache-2.0
"""Ray Data by itself, as its guides have it: files read by its reader, an actor pool a model, a writing task.

Pools and batches are those of our configuration; blocks are a hundred pictures, as our shards are.

COMMAND  python -m benchmarks.rivals.raw_ray IN OUT
"""

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from benchmarks.rivals.chain import (
    FIRST,
    LIGHT,
    SECOND,
    TOGETHER,
    asked,
    pictures,
    table_of,
    through,
    write_tar,
)


class Stages:
    """An actor with some of the models."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def __call__(self, table: pa.Table) -> pa.Table:
        """A block."""
        return through(self._names, table)


def main() -> None:
    """All pictures of a folder."""
    arguments = asked(__doc__).parse_args()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    paths = [str(path.resolve()) for path in pictures(arguments.source)]
    blocks = -(-len(paths) // TOGETHER)
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
    return through(LIGHT, table_of(paths, files["bytes"].to_pylist()))


def _write(output: str, table: pa.Table) -> pa.Table:
    keys = table["key"].to_pylist()
    write_tar(Path(output, f"{keys[0]}.tar"), table)
    return pa.table({"rows": [len(keys)]})


if __name__ == "__main__":
    main()
