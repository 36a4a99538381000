# SPDX-License-Identifier: Apache-2.0
"""What `evaluate` does, from the request to the last line that it prints.

A run is a build whose shards are sets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline import build as steps
from pipeline.build import RunOptions
from pipeline.build_command import check_room, until_stopped
from pipeline.context import forget_notes
from pipeline.dataset.finish import finish_dataset
from pipeline.dataset.layout import EVALUATION, committed_shards
from pipeline.errors import UserError
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.results import write_results
from pipeline.evaluate.source import EvaluationSource, parts_of
from pipeline.fields import nearest
from pipeline.job import Job
from pipeline.lease import Lease
from pipeline.stopping import Stopper
from pipeline.survey import Request, Way, begin, survey
from pipeline.wording import counted
from stages.parse import parse_json
from stages.shard.files import ShardFiles
from stages.shard.place import Place
from stages.write import refused


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """What a person asks for."""

    config: EvaluateConfig
    folder: Path
    """That the configuration is in."""
    root: Path
    methods: tuple[str, ...] = ()
    """Only these settings now; all if empty."""
    limit: int | None = None
    """Only so many sets of each method and seed now."""
    overwrite: bool = False
    retry: bool = False
    """Whether sets with pictures that are not there are drawn again."""


def evaluate(request: EvaluateRequest, options: RunOptions) -> int:
    """Evaluate, or go on, or say that nothing is to do; returns the exit code.

    Raises:
        UserError: bad input, a folder that is another run's, or a run that cannot go on.
    """
    return until_stopped(options, lambda stopper: _evaluate(request, options, stopper))


def _evaluate(request: EvaluateRequest, options: RunOptions, stopper: Stopper) -> int:
    config, root = request.config, request.root
    for name in request.methods:
        if name not in config.settings:
            raise UserError(
                f"--methods {name}: no such method in the configuration{nearest(name, config.settings)}"
            )
    build = config.build_config()
    check_room(build, options)
    source = EvaluationSource.of(config, str(request.folder))
    way = Way.overwrite if request.overwrite else Way.extend
    outlook = survey(Request(build, source, root, way=way))
    with Lease.take(root) as lease:
        job = _now(begin(outlook), request)
        print(_line(job, config))
        finishing = partial(_finish, config)
        if not job.todo:
            finishing(root, EVALUATION)
        else:
            outcome = steps.execute(job, options, lease, stopper=stopper, finishing=finishing)
            print(outcome.line())
            if outcome.reason:
                return outcome.code
    print((root / "table.md").read_text(encoding="utf-8"))
    print(f"report       {(root / 'report.html').resolve()}")
    return 0


def _now(job: Job, request: EvaluateRequest) -> Job:
    """Of what is to do, what is asked for now, and the sets that are to be drawn again.

    Raises:
        UserError: what is there of these cannot be taken away.
    """
    names = {each.name for each in request.config.protocol.sets[: request.limit]}

    def wanted(shard: int) -> bool:
        setting, _, name = parts_of(job.read.listing(shard)["source_key"][0].as_py())
        return name in names and (not request.methods or setting in request.methods)

    there = committed_shards(job.root, job.split) if request.retry else []
    failed = [shard for shard in there if _has_failed(shard) and wanted(shard.number)]
    todo = sorted({*job.todo, *(shard.number for shard in failed)})
    now = replace(job, todo=[shard for shard in todo if wanted(shard)], damaged=tuple(failed))
    now.forget_damaged()
    return now


def _has_failed(shard: ShardFiles) -> bool:
    statuses = parse_json(shard.stats.read_bytes())["statuses"]
    return bool(statuses["rejected"] + statuses["error"])


def _line(job: Job, config: EvaluateConfig) -> str:
    many = counted(len(config.protocol.sets), "set")
    of = f"{counted(len(config.settings), 'method')}, {many}, {counted(len(config.seeds), 'seed')}"
    return f"{of}, {counted(config.prompts, 'prompt')} each: {counted(len(job.todo), 'set')} to draw now"


def _finish(config: EvaluateConfig, root: Place, split: str) -> None:
    assert isinstance(root, Path)
    forget_notes(root)
    try:
        finish_dataset(root, split)
        write_results(config, root)
    except OSError as error:
        raise UserError(refused("the results", root, error)) from error
