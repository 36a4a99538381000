# SPDX-License-Identifier: Apache-2.0
"""NeMo Curator: our stages as its processing stages, on its Ray Data executor or on its own, Xenna.

A task holds a hundred pictures, as our shards do, and pools are those of our configuration. Its own image
reader needs DALI and a GPU, so files are read as in the other contenders.

COMMAND  PYTHON_WITH_NEMO_CURATOR -m benchmarks.rivals.nemo_curator IN OUT [--executor xenna]
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from nemo_curator.backends.ray_data import RayDataExecutor  # pyright: ignore[reportMissingImports]
from nemo_curator.backends.xenna import XennaExecutor  # pyright: ignore[reportMissingImports]
from nemo_curator.pipeline import Pipeline  # pyright: ignore[reportMissingImports]
from nemo_curator.stages.base import ProcessingStage  # pyright: ignore[reportMissingImports]
from nemo_curator.stages.resources import Resources  # pyright: ignore[reportMissingImports]
from nemo_curator.tasks import FileGroupTask, Task  # pyright: ignore[reportMissingImports]

from benchmarks.rivals.chain import FIRST, LIGHT, SECOND, asked, jobs, table_of, through, write_tar


@dataclass
class Rows(Task):
    """A table of rows, and the tar that it ends in."""

    @property
    def num_items(self) -> int:
        """Rows."""
        return self.data.num_rows

    def validate(self) -> bool:
        """Whatever our stages return."""
        return isinstance(self.data, pa.Table)


class _Stage(ProcessingStage):
    def inputs(self) -> tuple[list[str], list[str]]:
        return [], []

    def outputs(self) -> tuple[list[str], list[str]]:
        return [], []


class Read(_Stage):
    """Files to rows."""

    name = "read"
    resources = Resources(cpus=0.2)

    def process(self, task: Any) -> Rows:
        """A hundred files."""
        table = through(LIGHT, table_of([Path(path) for path in task.data]))
        return Rows(dataset_name=task.dataset_name, data=table, _metadata=task._metadata)


class Models(_Stage):
    """Some of the models, in an actor that keeps them."""

    resources = Resources(cpus=0.7)

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        self.name, self._names = name, names

    def num_workers(self) -> int:
        """A process each."""
        return 1

    def setup(self, worker_metadata: Any = None) -> None:
        """What makes its executor keep this in an actor; models are loaded by the first rows."""

    def process(self, task: Any) -> Rows:
        """Rows after these stages."""
        table = through(self._names, task.data)
        return Rows(dataset_name=task.dataset_name, data=table, _metadata=task._metadata)


class Write(_Stage):
    """Rows to a tar; what goes back to the driver is small."""

    name = "write"
    resources = Resources(cpus=0.2)

    def process(self, task: Any) -> FileGroupTask:
        """One tar."""
        tar = Path(task._metadata["tar"])
        write_tar(tar, task.data)
        return FileGroupTask(dataset_name=task.dataset_name, data=[str(tar)])


def main() -> None:
    """All pictures of a folder."""
    parser = asked(__doc__)
    parser.add_argument("--executor", choices=("ray_data", "xenna"), default="ray_data")
    arguments = parser.parse_args()
    own = arguments.executor == "xenna"
    # It asks the dashboard what its actors are doing.
    ray.init(num_cpus=2, include_dashboard=own, log_to_driver=False)
    tasks = [
        FileGroupTask(
            dataset_name="scenes",
            data=[str(path.resolve()) for path in paths],
            _metadata={"tar": str(tar.resolve())},
        )
        for paths, tar in jobs(arguments.source, arguments.output)
    ]
    pipeline = Pipeline(
        name="subjects", stages=[Read(), Models("first", FIRST), Models("second", SECOND), Write()]
    )
    # Of two cores it would leave itself one twentieth, and the pipeline what whole cores are left.
    xenna = XennaExecutor({"cpu_allocation_percentage": 1.0})
    pipeline.run(xenna if own else RayDataExecutor(), initial_tasks=tasks)


if __name__ == "__main__":
    main()
