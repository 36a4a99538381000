# SPDX-License-Identifier: Apache-2.0
"""Data-Juicer: our stages as its operators, on its Ray executor, an actor each for the two groups of models.

Batches are a hundred pictures, as our shards are. Its rows are what its operators pass on, dictionaries of
lists; the last operator writes the tar, and its own exporter what is left of the rows.

COMMAND  PYTHON_WITH_DATA_JUICER -m benchmarks.rivals.data_juicer IN OUT
"""

import json

import ray
from data_juicer.config import init_configs  # pyright: ignore[reportMissingImports]
from data_juicer.core.executor.ray_executor import RayExecutor  # pyright: ignore[reportMissingImports]

import benchmarks.rivals.data_juicer_operators  # noqa: F401 (it makes them known)
from benchmarks.rivals.chain import TOGETHER, asked, pictures


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
    # Of its own reader's tasks each asks for a whole CPU beside those of the actors.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
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
