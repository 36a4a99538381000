# SPDX-License-Identifier: Apache-2.0
"""Starts the training of one of the miniature's models."""

from functools import partial
from importlib import import_module
from pathlib import Path


def train_part(part: str, run: Path, threads: int) -> Path:
    """Train a model under `run`, by its module in `models.miniature.train`; return the saved folder."""
    function = getattr(import_module(f"models.miniature.train.{part}"), f"train_{part}")
    log = partial(print, flush=True)
    if part == "tagger":
        return function(run / part, log=log)
    import torch

    torch.set_num_threads(threads)
    return function(run / part, run / "cache", log=log)
