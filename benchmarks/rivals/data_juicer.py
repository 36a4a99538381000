# SPDX-License-Identifier: Apache-2.0
"""Data-Juicer: our stages as its operators, on its Ray executor, an actor each for the two groups of models.

Batches are a hundred pictures, as our shards are. Its rows are what its operators pass on, dictionaries of
lists; the last operator writes the tar, and its own exporter what is left of the rows.

COMMAND  PYTHON_WITH_DATA_JUICER -m benchmarks.rivals.data_juicer IN OUT
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from data_juicer.config import init_configs  # pyright: ignore[reportMissingImports]
from data_juicer.core.executor.ray_executor import RayExecutor  # pyright: ignore[reportMissingImports]
from data_juicer.ops.base_op import OPERATORS, Mapper  # pyright: ignore[reportMissingImports]

from benchmarks.rivals.chain import (
    FIRST,
    LIGHT,
    SECOND,
    TOGETHER,
    asked,
    pictures,
    schema_after,
    table_of,
    through,
    write_tar,
)

Samples = dict[str, list[Any]]


class _Ours(Mapper):
    _batched_op = True
    names: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    def process_batched(self, samples: Samples) -> Samples:
        table = pa.Table.from_pydict(samples, schema_after(self.before))
        return through(self.names, table).to_pydict()


@OPERATORS.register_module("subjects_read_mapper")
class Read(_Ours):
    """Files to rows."""

    def process_batched(self, samples: Samples) -> Samples:
        """A hundred files."""
        paths = [Path(images[0]) for images in samples["images"]]
        return through(LIGHT, table_of(paths)).to_pydict()


@OPERATORS.register_module("subjects_first_mapper")
class First(_Ours):
    """Captions, nouns and boxes."""

    names, before = FIRST, LIGHT


@OPERATORS.register_module("subjects_second_mapper")
class Second(_Ours):
    """Masks and scores."""

    names, before = SECOND, LIGHT + FIRST


@OPERATORS.register_module("subjects_write_mapper")
class Write(_Ours):
    """A tar."""

    def __init__(self, output: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._output = output

    def process_batched(self, samples: Samples) -> Samples:
        """A hundred rows; their names are left."""
        table = pa.Table.from_pydict(samples, schema_after(LIGHT + FIRST + SECOND))
        write_tar(Path(self._output, f"{samples['key'][0]}.tar"), table)
        return {"key": samples["key"]}


def main() -> None:
    """All pictures of a folder."""
    arguments = asked(__doc__).parse_args()
    output = arguments.output.resolve()
    listing = output / "listing.jsonl"
    listing.write_text(
        "".join(
            json.dumps({"text": "", "images": [str(path.resolve())]}) + "\n"
            for path in pictures(arguments.source)
        )
    )
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    whole = {"batch_size": TOGETHER, "num_proc": 1}
    task, actor = ({**whole, "num_cpus": cpus} for cpus in (0.2, 0.7))
    actor["ray_execution_mode"] = "actor"
    process = [
        {"subjects_read_mapper": task},
        {"subjects_first_mapper": actor},
        {"subjects_second_mapper": actor},
        {"subjects_write_mapper": {**task, "output": str(output)}},
    ]
    config = {
        "dataset_path": str(listing),
        "export_path": str(output / "rows.jsonl"),
        "executor_type": "ray",
        "auto_op_parallelism": False,
        "process": process,
    }
    written = output / "data_juicer.json"
    written.write_text(json.dumps(config))
    RayExecutor(init_configs(["--config", str(written)])).run()


if __name__ == "__main__":
    main()
