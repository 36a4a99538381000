# SPDX-License-Identifier: Apache-2.0
"""A training's record: a line of JSON a step in `metrics.jsonl`, and the same for TensorBoard."""

import json
import math
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.train.peak import model_flops_utilisation

FILE = "metrics.jsonl"
_TAIL = 2**16
"""Bytes that hold the last line."""


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's record; the last one may be torn and is left out then."""
    path = run / FILE
    if not path.exists():
        return []
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def last_metrics(run: Path) -> dict[str, Any] | None:
    """The last whole line of a run's record, however long that is; None if there is none."""
    path = run / FILE
    if not path.exists():
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        *whole, _ = file.read().split(b"\n")
    return json.loads(whole[-1]) if whole else None


class Record:
    """Writes the record of a run; of steps that are done again only the last time stays. What is no number is
    null."""

    def __init__(self, run: Path, step: int) -> None:
        """
        Args:
            run: the run's folder.
            step: what it goes on with.
        """
        from torch.utils.tensorboard.writer import SummaryWriter

        kept = [line for line in read_metrics(run) if line["step"] <= step]
        partial = run / f"{FILE}.partial"
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        partial.replace(run / FILE)
        self._file = (run / FILE).open("a")
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """What is known of a step, from 1."""
        self._file.write(json.dumps({"step": step, **_strict(values)}, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
        self._board.close()


def _strict(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN and no infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


class Clock:
    """How fast steps are, how long they wait for data, and what they need."""

    def __init__(self, batch: int, device: torch.device) -> None:
        """
        Args:
            batch: samples of a step, all processes together.
            device: of this process.
        """
        self._batch, self._device = batch, device
        self.flops: float | None = None
        """Of a step of this process, if they were counted."""
        self._began, self._waited = time.perf_counter(), 0.0

    def begin(self, waited: float) -> None:
        """What was done in between is not a step's.

        Args:
            waited: seconds for data so far.
        """
        self._began, self._waited = time.perf_counter(), waited

    def lap(self, waited: float) -> dict[str, Any]:
        """Of the step that ends now."""
        now = time.perf_counter()
        seconds, share = now - self._began, (waited - self._waited) / max(now - self._began, 1e-9)
        self._began, self._waited = now, waited
        return {
            "seconds": seconds,
            "images_per_second": self._batch / seconds,
            "data_wait_share": share,
            "peak_memory_gib": _peak_memory(self._device),
            "mfu": model_flops_utilisation(self.flops, seconds, self._device),
        }


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    # The kernel tells KiB, but macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
