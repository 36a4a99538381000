# SPDX-License-Identifier: Apache-2.0
"""A build with the full-size models, side by side on one GPU."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
import yaml

from benchmarks.full_size.fixed import SIZE, TOKENS, UNFOUND, FourBoxes, FourNouns
from benchmarks.steady import steady
from pipeline.dataset.timings import images_per_second
from pipeline.train.peak import model_flops_utilisation
from stages.columns import OK

_ROOT = Path(__file__).parents[2]
_NAMES = {kind: f"benchmarks.full_size.fixed:{kind.__name__}" for kind in (FourNouns, FourBoxes)}
_REST = ("select", "segment", "score", "write")
_FULL = _ROOT / "configs" / "build" / "full.yaml"
_BACKENDS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "caption": ("captioner", "blip2", {"max_new_tokens": TOKENS}),
    "detect": ("detector", "grounding_dino", {"pad_to": 64}),
    "segment": ("segmenter", "sam", {}),
}
_SHARDS = 5


@dataclass(frozen=True, slots=True)
class Build:
    """What is built."""

    models: Mapping[str, str]
    """Folders of weights by stage."""
    count: int
    """Of pictures."""
    device: str
    """`cuda` or `cpu`."""
    together: bool
    """Whether one process has all models, or each a part of the device, as in `full.yaml`."""
    compile: bool = False

    @property
    def name(self) -> str:
        """`all models in one process, compiled`."""
        layout = "all models in one process" if self.together else "a process a model"
        return layout + ", compiled" * self.compile


def chain_rate(folder: Path, build: Build, pictures: Sequence[bytes], flops: float | None = None) -> str:
    """Images a second once the first shard is there, and of each stage's worker.

    Args:
        folder: for pictures, configuration and dataset.
        build: see there.
        pictures: JPEGs, taken over and over.
        flops: of an image, if they have been counted.
    """
    source = folder / "pictures"
    source.mkdir(exist_ok=True)
    for number in range(build.count):
        (source / f"{number:06d}.jpg").write_bytes(pictures[number % len(pictures)])
    config, output = folder / f"{build.name}.yaml", folder / build.name
    config.write_text(yaml.safe_dump(chain_config(build)))
    command = [sys.executable, "-m", "pipeline", "build", str(config), "--input", str(source)]
    with _GpuMemory() as memory:
        subprocess.run([*command, "--output", str(output)], cwd=_ROOT, check=True)
    _all_came_through(output, build.count)
    rate = steady(output).rate
    speeds = ", ".join(f"{stage} {speed:.0f}" for stage, speed in images_per_second(output).items())
    share = model_flops_utilisation(flops, 1 / rate, torch.device(build.device))
    told = [
        "" if share is None else f", {share:.2f} of peak",
        f", {memory.peak:.1f} GiB" if memory.peak else "",
    ]
    return f"chain, {build.name}: {rate:.1f} images/s{''.join(told)}; one worker of each stage: {speeds}"


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


def chain_config(build: Build) -> dict[str, Any]:
    """`configs/build/full.yaml` with these models, nouns and boxes, without CLIP's scores."""
    config: dict[str, Any] = yaml.safe_load(_FULL.read_text())
    stages, nouns, boxes = config["stages"], _NAMES[FourNouns], _NAMES[FourBoxes]
    for stage, (field, name, more) in _BACKENDS.items():
        given = {"name": name, "model": build.models[stage], "compile": build.compile, **more}
        stages[stage][field] = {**given, "device": build.device, "dtype": "bfloat16"}
    del stages["score"], stages["nouns"]
    stages["detect"]["box_threshold"] = UNFOUND
    stages["filter_image"]["min_side"] = min(SIZE)
    if build.together:
        held = stages["caption"]["resources"]
        stages["caption"]["resources"] = {**held, "gpus": 1.0}
        stages["detect"]["resources"] = stages["segment"]["resources"] = None
    for stage in stages.values() if build.device == "cpu" else ():
        if stage.get("resources"):
            # However few cores there are, all workers are to be there.
            stage["resources"] |= {"cpus": 0.1, "gpus": 0.0}
    most = stages["caption"]["batch_size"]
    # Whole batches of the captioner, some shards of them.
    size = max(1, build.count // _SHARDS // most * most or build.count // _SHARDS)
    chain = ["read", "filter_image", "caption", nouns, "detect", boxes, *_REST]
    return {"shard_size": min(size, config["shard_size"] // most * most), "chain": chain, "stages": stages}
