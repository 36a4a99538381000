# SPDX-License-Identifier: Apache-2.0
"""A training's page: curves, grids of pictures and configuration, in one file that needs nothing else."""

import base64
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pipeline.train.curve import chart
from pipeline.train.metrics import read_metrics

FILE = "train.html"
_GRIDS = 6
_REASONS = 3
"""Of replaced samples, that are told."""
_CHARTS = {
    "Loss": {"training": "loss", "validation": "validation_loss"},
    "Denoising loss by quarter of the timesteps": {
        "least noise": "loss_quarter_1",
        "second": "loss_quarter_2",
        "third": "loss_quarter_3",
        "most noise": "loss_quarter_4",
    },
    "Attention loss": {"training": "attention_loss", "validation": "validation_attention_loss"},
    "Mean opening of the gates, |tanh|": {"gates": "gate"},
    "Norm of the gradient": {"norm": "gradient_norm"},
    "Learning rate": {"rate": "lr"},
    "Images a second": {"images": "images_per_second"},
    "Share of a step spent waiting for data": {"share": "data_wait_share"},
    "Model FLOP/s utilisation": {"share": "mfu"},
    "Peak memory, GiB": {"memory": "peak_memory_gib"},
}


def write_page(run: Path, steps: int) -> Path:
    """Write `train.html` of a run as it is now.

    Args:
        run: its folder.
        steps: that the whole training has.
    """
    lines = read_metrics(run)
    grids = sorted((run / "samples").glob("step-*.png"))
    config = run / "config.yaml"
    page = Template(_asset("pipeline.train", "page.html")).substitute(
        title=html.escape(run.resolve().name),
        style=_asset("pipeline.report", "page.css"),
        about=html.escape(f"{lines[-1]['step'] if lines else 0} of {steps} steps"),
        tiles=_tiles(lines),
        curves="".join(chart(title, _series(lines, names)) for title, names in _CHARTS.items()),
        samples_note=(
            "A row a sample: its references, the picture they are from, and new pictures of the same caption."
            if grids
            else "None yet."
        ),
        samples="".join(map(_grid, grids[-_GRIDS:][::-1])),
        config=html.escape(config.read_text() if config.exists() else ""),
    )
    path = run / FILE
    partial = path.with_suffix(".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
    return path


def _series(
    lines: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> dict[str, list[tuple[float, float]]]:
    return {
        shown: [(line["step"], line[name]) for line in lines if isinstance(line.get(name), int | float)]
        for shown, name in names.items()
    }


def _tiles(lines: Sequence[Mapping[str, Any]]) -> str:
    if not lines:
        return ""
    last = lines[-1]
    validation = next(
        (line["validation_loss"] for line in reversed(lines) if "validation_loss" in line), None
    )
    recent = lines[-50:]
    losses = [line["loss"] for line in recent if line["loss"] is not None]
    values = {
        "Steps": str(last["step"]),
        "Loss, mean of the last 50": f"{sum(losses) / len(losses):.4f}" if losses else "no number",
        "Validation loss": "-" if validation is None else f"{validation:.4f}",
        "Images a second": f"{sum(line['images_per_second'] for line in recent) / len(recent):.1f}",
    }
    why: Counter[str] = Counter()
    for line in lines:
        why.update(line.get("replaced_why", {}))
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in why.most_common(_REASONS)]
    tiles = [_tile(name, value) for name, value in values.items()]
    return "".join([*tiles, _tile("Samples replaced", str(why.total()), ", ".join(reasons))])


def _tile(name: str, value: str, note: str = "") -> str:
    return f"<div><dt>{name}</dt><dd>{html.escape(value)}<small>{html.escape(note)}</small></dd></div>"


def _grid(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    step = int(path.stem.removeprefix("step-"))
    return (
        f'<figure class="panel"><figcaption><b>After step {step}</b></figcaption>'
        f'<img alt="samples after step {step}" src="data:image/png;base64,{data}"></figure>'
    )


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")
