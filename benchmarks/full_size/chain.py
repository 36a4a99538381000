# SPDX-License-Identifier: Apache-2.0
"""A build with the full-size models, side by side on one GPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.full_size.fixed import FourBoxes, FourNouns
from benchmarks.steady import steady
from pipeline.dataset.timings import images_per_second

_ROOT = Path(__file__).parents[2]
_NAMES = {kind: f"benchmarks.full_size.fixed:{kind.__name__}" for kind in (FourNouns, FourBoxes)}
_REST = ("select", "segment", "score", "write")


def chain_rate(
    folder: Path,
    models: Mapping[str, str],
    pictures: Sequence[bytes],
    count: int,
    device: str,
    together: bool,
) -> str:
    """Images a second once the first shard is there, and of each stage's worker.

    Args:
        folder: for pictures, configuration and dataset.
        models: folders of weights by stage.
        pictures: JPEGs, taken over and over.
        count: how many.
        device: `cuda` or `cpu`.
        together: whether one process has all models, or each a third of the device.
    """
    source = folder / "pictures"
    source.mkdir(exist_ok=True)
    for number in range(count):
        (source / f"{number:06d}.jpg").write_bytes(pictures[number % len(pictures)])
    name = "all models in one process" if together else "a process a model"
    config, output = folder / f"{name}.yaml", folder / name
    config.write_text(yaml.safe_dump(chain_config(models, count, device, together)))
    command = [sys.executable, "-m", "pipeline", "build", str(config), "--input", str(source)]
    subprocess.run([*command, "--output", str(output)], cwd=_ROOT, check=True)
    speeds = ", ".join(f"{stage} {speed:.0f}" for stage, speed in images_per_second(output).items())
    return f"chain, {name}: {steady(output).rate:.1f} images/s; one worker of each stage: {speeds}"


def chain_config(models: Mapping[str, str], count: int, device: str, together: bool) -> dict[str, Any]:
    """A build's configuration; see `chain_rate`."""
    given = {"device": device, "dtype": "bfloat16"}
    gpus = {} if device == "cpu" else {"gpus": 1.0 if together else 0.33}
    held: dict[str, Any] = {"workers": 1, "cpus": 0.5, "decoders": 4, **gpus}
    beside = None if together else held
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
                "resources": beside,
            },
            "segment": {
                "segmenter": {"name": "sam", "model": models["segment"], **given},
                "batch_size": 8,
                "resources": beside,
            },
        },
    }
