# SPDX-License-Identifier: Apache-2.0
"""All that follows from an evaluation's shards: tables for people and programs, pictures, a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config import plain_fields
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import evaluated_rows, write_table
from pipeline.evaluate.summary import Method, higher_is_better, summed_up
from pipeline.evaluate.tables import markdown
from stages.shard.commit import replace

_SCENES = 200
"""Held-out renders that the judge is tested on."""


def write_results(config: EvaluateConfig, root: Path) -> None:
    """Write `results.parquet`, `results.json`, `table.md`, `report.html` and `images`.

    Raises:
        OSError: they cannot be written.
    """
    from pipeline.evaluate.report import write_report

    rows = evaluated_rows(root)
    methods, judged = summed_up(rows, config), _judged(config)
    partial = root / ".results.parquet"
    write_table(rows, partial)
    partial.rename(root / "results.parquet")
    found = {
        "baseline": config.baseline,
        "protocol": config.protocol.source,
        "metrics": {name: _about(metric) for name, metric in config.metrics.items()},
        "judge": judged,
        "methods": {method.name: _plain(method, config) for method in methods},
        "reported": [asdict(row) for row in config.protocol.reported],
    }
    replace(root / "results.json", (json.dumps(found, indent=1) + "\n").encode())
    replace(root / "table.md", markdown(methods, config, judged).encode())
    write_report(root, config, rows, methods, judged)


def _judged(config: EvaluateConfig) -> dict[str, float] | None:
    """The judge's own accuracies, measured now, where it was asked for anything."""
    from models.metrics.judge import MiniatureJudge

    judge = next((each for each in config.metrics.values() if isinstance(each, MiniatureJudge)), None)
    if judge is None:
        return None
    from models.backends.weights import located
    from models.miniature.judge import Judge
    from models.miniature.judge.accuracy import accuracy

    return accuracy(Judge.from_pretrained(Path(located(judge.model))), _SCENES)


def _about(metric: Any) -> Mapping[str, Any]:
    from models.backends.weights import hub_commit, weights_digest

    commit = hub_commit(metric.model, getattr(metric, "revision", None))
    return {**plain_fields(metric), "weights": weights_digest(metric.model), "commit": commit}


def _plain(method: Method, config: EvaluateConfig) -> dict[str, Any]:
    told = asdict(method)
    told["setting"] = plain_fields(config.settings[method.name])
    told["better"] = {name: "higher" if higher_is_better(name, config) else "lower" for name in method.values}
    told["seconds_for"] = {str(count): method.seconds(count) for count in (1, 10, 30, 100)}
    return told
