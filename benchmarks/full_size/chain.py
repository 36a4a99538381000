# SPDX-License-Identifier: Apache-2.0
"""A build with the full-size models, side by side on one GPU."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml

from benchmarks.full_size.fixed import FourBoxes, FourNouns
from benchmarks.steady import steady
from pipeline.dataset.timings import images_per_second
from pipeline.train.peak import model_flops_utilisation
from stages.columns import OK

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
    flops: float = 0.0,
) -> str:
    """Images a second once the first shard is there, and of each stage's worker.

    Args:
        folder: for pictures, configuration and dataset.
        models: folders of weights by stage.
        pictures: JPEGs, taken over and over.
        count: how many.
        device: `cuda` or `cpu`.
        together: whether one process has all models, or each a third of the device.
        flops: of an image; 0 if they have not been counted.
    """
    source = folder / "pictures"
    source.mkdir(exist_ok=True)
    for number in range(count):
        (source / f"{number:06d}.jpg").write_bytes(pictures[number % len(pictures)])
    name = "all models in one process" if together else "a process a model"
    config, output = folder / f"{name}.yaml", folder / name
    config.write_text(yaml.safe_dump(chain_config(models, count, device, together)))
    command = [sys.executable, "-m", "pipeline", "build", str(config), "--input", str(source)]
    with _GpuMemory() as memory:
        subprocess.run([*command, "--output", str(output)], cwd=_ROOT, check=True)
    _all_came_through(output, count)
    rate = steady(output).rate
    speeds = ", ".join(f"{stage} {speed:.0f}" for stage, speed in images_per_second(output).items())
    share = model_flops_utilisation(flops or None, 1 / rate, torch.device(device))
    told = [
        "" if share is None else f", {share:.2f} of peak",
        f", {memory.peak:.1f} GiB" if memory.peak else "",
    ]
    return f"chain, {name}: {rate:.1f} images/s{''.join(told)}; one worker of each stage: {speeds}"


def _all_came_through(output: Path, count: int) -> None:
    """What is rejected or fails is quick."""
    rows = pq.read_table(output / "_meta" / "index.parquet", columns=["status", "stage", "reason", "detail"])
    lost = [row for row in rows.to_pylist() if row["status"] != OK]
    if lost or rows.num_rows != count:
        raise SystemExit(f"{count - rows.num_rows + len(lost)} of {count} did not come through: {lost[:1]}")


class _GpuMemory:
    """GiB of the first GPU that were in use at most while the block ran, whoever had them."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _GpuMemory:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            free, total = torch.cuda.mem_get_info()
            self.peak = max(self.peak, (total - free) / 2**30)


def chain_config(models: Mapping[str, str], count: int, device: str, together: bool) -> dict[str, Any]:
    """A build's configuration; see `chain_rate`."""
    given = {"device": device, "dtype": "bfloat16"}
    gpus = {} if device == "cpu" else {"gpus": 1.0 if together else 0.33}
    held: dict[str, Any] = {"workers": 1, "cpus": 0.5, "decoders": 4, **gpus}
    light = {"workers": 2, "cpus": 0.1}
    beside = None if together else held
    nouns, boxes = _NAMES[FourNouns], _NAMES[FourBoxes]
    return {
        "shard_size": max(1, min(200, count // 5)),
        "chain": ["read", "filter_image", "caption", nouns, "detect", boxes, *_REST],
        "stages": {
            "read": {"resources": light},
            "filter_image": {"min_side": 256},
            "write": {"resources": light},
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
