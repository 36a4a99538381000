# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.executor import Executor

Config = Annotated[Path, typer.Argument(help="YAML file, for instance configs/build/miniature.yaml")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Override a value; repeatable")]
Dataset = Annotated[str, typer.Argument(help="A dataset's folder: a path or a URI")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images of the input")]
RunsOn = Annotated[Executor, typer.Option(help="`local` is one process, for debugging")]
Address = Annotated[str | None, typer.Option(help="Ray cluster; a local one if not given")]
Grace = Annotated[
    float, typer.Option(min=0, max=86_400, help="Seconds that shards in hand get after SIGTERM")
]
StallAfter = Annotated[
    float, typer.Option(min=0.01, max=525_600, help="Minutes without a move until a line says why")
]
StallLimit = Annotated[
    float, typer.Option(min=0, max=525_600, help="Minutes without a move until the run ends; 0: never")
]


def run_options(
    executor: Executor, address: str | None, grace: float, stall_after: float, stall_limit: float
) -> Any:
    """What `pipeline.build.execute` is told of them."""
    from pipeline.build import RunOptions
    from pipeline.run_ray import RayOptions
    from pipeline.watchdog import Patience

    return RunOptions(executor, RayOptions(address), grace, Patience(60 * stall_after, 60 * stall_limit))
