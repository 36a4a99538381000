# SPDX-License-Identifier: Apache-2.0
"""A build with the full-size models, side by side on one GPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.full_size.fixed import FourBoxes, FourNouns
from pipeline.dataset.timings import images_per_second
from pipeline.events import read_events

_ROOT = Path(__file__).parents[2]
_NAMES = {kind: f"benchmarks.full_size.fixed:{kind.__name__}" for kind in (FourNouns, FourBoxes)}
_REST = ("select", "segment", "score", "write")


def chain_rate(
    folder: Path, models: Mapping[str, str], pictures: Sequence[bytes], count: int, device: str
) -> str:
    """Images a second once the first shard is there, and of each stage's worker.

    Args:
        folder: for pictures, configuration and dataset.
        models: folders of weights by stage.
        pictures: JPEGs, taken over and over.
        count: how many.
        device: `cuda` or `cpu`.
    """
    source = folder / "pictures"
    source.mkdir()
    for number in range(count):
        (source / f"{number:06d}.jpg").write_bytes(pictures[number % len(pictures)])
    config, output = folder / "chain.yaml", folder / "dataset"
    config.write_text(yaml.safe_dump(_config(models, count, device)))
    command = [sys.executable, "-m", "pipeline", "build", str(config), "--input", str(source)]
    subprocess.run([*command, "--output", str(output)], cwd=_ROOT, check=True)
    marks = [
        (datetime.fromisoformat(event["time"]).timestamp(), event["rows"])
        for event in read_events(output)
        if event["event"] == "shard"
    ]
    rate = sum(rows for _, rows in marks[1:]) / (marks[-1][0] - marks[0][0])
    speeds = ", ".join(f"{stage} {speed:.0f}" for stage, speed in images_per_second(output).items())
    return f"chain: {rate:.1f} images/s; one worker of each stage: {speeds}"


def _config(models: Mapping[str, str], count: int, device: str) -> dict[str, Any]:
    given = {"device": device, "dtype": "bfloat16"}
    gpus = {} if device == "cpu" else {"gpus": 0.33}
    held = {"workers": 1, "cpus": 0.5, **gpus}
    nouns, boxes = _NAMES[FourNouns], _NAMES[FourBoxes]
    return {
        "shard_size": max(1, min(200, count // 5)),
        "chain": ["read", "filter_image", "caption", nouns, "detect", boxes, *_REST],
        "stages": {
            "read": {"resources": {"workers": 1, "cpus": 0.2}},
            "caption": {
                "captioner": {"name": "blip2", "model": models["caption"], "max_new_tokens": 20, **given},
                "batch_size": 64,
                "resources": held,
            },
            "detect": {
                "detector": {"name": "grounding_dino", "model": models["detect"], "pad_to": 64, **given},
                "batch_size": 8,
                "resources": held,
            },
            "segment": {
                "segmenter": {"name": "sam", "model": models["segment"], **given},
                "batch_size": 8,
                "resources": held,
            },
        },
    }
