# SPDX-License-Identifier: Apache-2.0
"""An evaluation's page: figures, tables, pictures and configuration, in one file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from pipeline.dataset.layout import config_path
from pipeline.evaluate.columns import headers
from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.pictures import Row
from pipeline.evaluate.report.figures import pareto, times
from pipeline.evaluate.report.grids import grids, worst
from pipeline.evaluate.report.tabled import as_html
from pipeline.evaluate.summary import Method
from pipeline.evaluate.tables import markdown
from pipeline.wording import counted
from stages.shard.commit import replace

_ALIGNMENT = ("clip_t_whole", "siglip_t_whole")
_CONSISTENCY = (
    "judge_identity_reference",
    "dino_subject_reference",
    "dinov2_subject_reference",
    "judge_identity_pairs",
    "dreamsim_subject_pairs",
    "dino_subject_pairs",
)
_TOLD = (
    "clip_t_whole",
    "siglip_t_whole",
    "dino_subject_reference",
    "dinov2_subject_reference",
    "judge_identity_reference",
    "judge_all_reference",
    "judge_stated",
    "judge_style",
)


def write_report(
    root: Path,
    config: EvaluateConfig,
    rows: Sequence[Row],
    methods: Sequence[Method],
    judged: Mapping[str, float] | None,
) -> None:
    """Write `report.html`.

    Raises:
        OSError: it cannot be written.
    """
    there = {name for method in methods for name in method.values}
    up = [name for name in _CONSISTENCY if name in there]
    x = next((name for name in _ALIGNMENT if name in there), None)
    names = headers(methods, judged or {})
    plots = [pareto(methods, config, x, y, names) for y in up] if x else []
    page = Template(_asset("pipeline.evaluate.report", "page.html")).substitute(
        title=html.escape(root.resolve().name),
        style=_asset("pipeline.report", "page.css"),
        about=html.escape(_about(config, rows)),
        figures="".join([*plots, times(methods)]),
        tables=as_html(markdown(methods, config, judged)),
        grids=grids(root, config, rows, {name: names[name] for name in _TOLD if name in names}),
        worst_note=html.escape(
            f"Of each method the pictures with the least {names[up[0]]}." if up else "None."
        ),
        worst=worst(root, config, rows, up[0], names[up[0]]) if up else "",
        config=html.escape(config_path(root).read_text(encoding="utf-8")),
    )
    replace(root / "report.html", page.encode())


def _about(config: EvaluateConfig, rows: Sequence[Row]) -> str:
    methods = counted(len(config.settings), "method")
    sets, seeds = counted(len(config.protocol.sets), "set"), counted(len(config.seeds), "seed")
    prompts, pictures = counted(config.prompts, "prompt"), counted(len(rows), "picture")
    return (
        f"{methods}, {sets} of {prompts}, {seeds}: {pictures} · "
        f"{config.sampler.model}, {config.sampler.steps} steps, guidance {config.sampler.guidance:g}"
    )


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")
