# SPDX-License-Identifier: Apache-2.0
"""Ray Data by itself, as its guides have it: its reader of files, an actor pool a model, its writer of tars.

Pools and batches are those of our configuration; blocks are a hundred pictures, as our shards are.

COMMAND  python -m benchmarks.rivals.raw_ray IN OUT
"""

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
    samples_of,
    table_of,
    through,
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
    stream = stream.map_batches(_samples, num_cpus=0.2, **whole)
    output = str(arguments.output.resolve())
    stream.write_webdataset(output, encoder=None, ray_remote_args={"num_cpus": 0.2})


def _read(files: pa.Table) -> pa.Table:
    paths = [Path(path) for path in files["path"].to_pylist()]
    return through(LIGHT, table_of(paths, files["bytes"].to_pylist()))


def _samples(table: pa.Table) -> pa.Table:
    """A row a sample, a column a member: what its writer takes."""
    return pa.Table.from_pylist([*samples_of(table)])


if __name__ == "__main__":
    main()
