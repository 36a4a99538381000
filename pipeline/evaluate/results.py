# SPDX-License-Identifier: Apache-2.0
"""All that follows from an evaluation's shards: tables for people and programs, pictures, a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.config import plain_fields
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import evaluated_rows, write_table
from pipeline.evaluate.summary import Method, higher_is_better, summed_up
from pipeline.evaluate.tables import markdown
from stages.parse import parse_json
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
    methods = summed_up(rows, config)
    judged, of = _judged(config, root)
    partial = root / ".results.parquet"
    write_table(rows, partial)
    partial.rename(root / "results.parquet")
    found = {
        "baseline": config.baseline,
        "protocol": config.protocol.source,
        "metrics": {name: _about(metric) for name, metric in config.metrics.items()},
        "judge": judged,
        "judge_of": of,
        "methods": {method.name: _plain(method, config) for method in methods},
        "reported": [asdict(row) for row in config.protocol.reported],
    }
    replace(root / "results.json", (json.dumps(found, indent=1) + "\n").encode())
    replace(root / "table.md", markdown(methods, config, judged).encode())
    write_report(root, config, rows, methods, judged)


def _judged(config: EvaluateConfig, root: Path) -> tuple[dict[str, float] | None, dict[str, Any] | None]:
    """The judge's own accuracies, where it was asked for anything, and what they were measured of.

    They are measured once in a folder, unless the judge or the world are others since.
    """
    from models.metrics.judge import MiniatureJudge

    judge = next((each for each in config.metrics.values() if isinstance(each, MiniatureJudge)), None)
    if judge is None:
        return None, None
    from models.backends.weights import located, weights_digest
    from models.miniature.judge import Judge
    from models.miniature.judge.accuracy import accuracy

    of = {"weights": weights_digest(judge.model), "scenes": _SCENES, "package": version("subjectforge")}
    before = _before(root)
    if before.get("judge") and before.get("judge_of") == of:
        return before["judge"], of
    return accuracy(Judge.from_pretrained(Path(located(judge.model))), _SCENES), of


def _before(root: Path) -> Mapping[str, Any]:
    try:
        found = parse_json((root / "results.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
