# SPDX-License-Identifier: Apache-2.0
"""What a machine adds to the work of its workers: busy neighbours, and Ray itself."""

from __future__ import annotations

import io
import multiprocessing
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from pipeline.planning.ray_costs import ray_costs

_SPAN, _TURNS = 0.4, 7
"""Seconds that a core's speed is measured for, and how often: neighbours come and go."""


class Machine(BaseModel):
    """As measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: NonNegativeFloat = 0.0
    """Seconds that Ray takes to start, until workers are there that have loaded nothing yet."""
    stop: NonNegativeFloat = 0.0
    """Seconds that it takes to end."""
    crowded: float = Field(default=1.0, ge=1.0)
    """How many times longer a core takes for its work while all others work too: they share caches, memory
    and power, and two of them are often one core's two threads."""
    handling: NonNegativeFloat = 0.0
    """CPU seconds of Ray itself for one shard and one operator."""
    driving: NonNegativeFloat = 0.0
    """CPU seconds of those that are of the driver, which is one process however large the cluster is."""
    standing: NonNegativeFloat = 0.0
    """Cores that Ray takes for itself as long as a run goes on, whatever there is to do."""


def measured_machine() -> Machine:
    """Of this machine, in half a minute, in which nothing else should run."""
    return Machine(crowded=_crowded(_cores()), **ray_costs())


def processor() -> str:
    """Its name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _crowded(cores: int) -> float:
    if cores == 1:
        return 1.0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, spawn, _wait_for_all, (spawn.Barrier(cores),)) as pool:
        first, *_ = pool.map(_slowed, range(cores))
    return max(1.0, median(first))


_ready: Barrier
"""Of the processes whose speed is measured at the same time."""


def _wait_for_all(ready: Barrier) -> None:
    global _ready
    _ready = ready


def _slowed(place: int) -> list[float]:
    """In each turn how many times less the first process gets done while all others work too."""
    ratios = []
    for _ in range(_TURNS):
        # Nobody has two places: each waits here for all the others.
        _ready.wait()
        alone = _done() if not place else 0
        _ready.wait()
        ratios.append(alone / _done())
    return ratios


def _done() -> int:
    """How often a picture is decoded and some numbers multiplied, which is what stages do."""
    stream = io.BytesIO()
    noise_HW3 = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise_HW3).save(stream, "JPEG")
    numbers_NN = np.ones((128, 128), np.float32)
    done, end = 0, time.perf_counter() + _SPAN
    while time.perf_counter() < end:
        Image.open(io.BytesIO(stream.getvalue())).load()
        # By a sum over columns, so that no library takes threads of its own.
        np.einsum("ij,jk->ik", numbers_NN, numbers_NN)
        done += 1
    return done
