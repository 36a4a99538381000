# SPDX-License-Identifier: Apache-2.0
"""`evaluate` on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_options import Address, Grace, RunsOn, Set, StallAfter, StallLimit, run_options
from pipeline.errors import UserError
from pipeline.executor import Executor
from stages.shard.uri import is_uri


def evaluate(
    config: Annotated[Path, typer.Argument(help="YAML file, for instance configs/evaluate/smoke.yaml")],
    output: Annotated[str, typer.Option(help="The evaluation's folder; given again, it goes on there")],
    methods: Annotated[str | None, typer.Option(help="Only these of the configuration now: a,b")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many sets of each method and seed now")
    ] = None,
    overrides: Set = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove another evaluation's results")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Draw sets again that came to nothing")] = False,
    executor: RunsOn = Executor.ray,
    address: Address = None,
    grace: Grace = 25.0,
    stall_after: StallAfter = 5.0,
    stall_limit: StallLimit = 60.0,
) -> None:
    """Compare methods on the same subjects, prompts and seeds; the same command again goes on."""
    from pipeline.evaluate.command import EvaluateRequest
    from pipeline.evaluate.command import evaluate as run
    from pipeline.evaluate.config import load_evaluation

    if is_uri(output) or not output.strip():
        raise UserError(f"--output {output}: evaluations are kept in a folder that all workers see; give one")
    chosen = tuple(name.strip() for name in (methods or "").split(",") if name.strip())
    if methods is not None and not chosen:
        raise UserError(f"--methods {methods}: name at least one, with commas between")
    request = EvaluateRequest(
        config=load_evaluation(config, overrides or ()),
        folder=config.resolve().parent,
        root=Path(output).expanduser(),
        methods=chosen,
        limit=limit,
        overwrite=overwrite,
        retry=retry,
    )
    options = run_options(executor, address, grace, stall_after, stall_limit)
    raise typer.Exit(run(request, options))
