# SPDX-License-Identifier: Apache-2.0
"""Starts the training of one of the miniature's models."""

from dataclasses import replace
from functools import partial
from importlib import import_module
from os import environ
from pathlib import Path

from pipeline.errors import UserError

ON_GPUS = ("autoencoder", "clip", "clip_large", "dino", "judge", "text2image", "text2image_xl")
"""Whose trainings have a recipe for a GPU besides the one for two cores."""


def train_part(
    part: str,
    run: Path,
    threads: int,
    device: str = "cpu",
    workers: int = 0,
    steps: int | None = None,
    begin: Path | None = None,
) -> Path:
    """Train a model under `run`, by its module in `models.miniature.train`; return the saved folder.

    Raises:
        UserError: the model is trained on the CPU only, or there is no such GPU.
    """
    _quieten()
    module = import_module(f"models.miniature.train.{part}")
    function, log = getattr(module, f"train_{part}"), partial(print, flush=True)
    if begin and not part.startswith("text2image"):
        raise UserError(f"the {part} goes on from its own checkpoint only; leave --begin out")
    if begin and not (begin / "unet").is_dir():
        raise UserError(f"{begin} is no saved pipeline (it has no folder unet); give one that training made")
    if part not in ON_GPUS and (device != "cpu" or workers or steps):
        raise UserError(f"the {part} takes no --device, --workers or --steps; leave them out")
    if part == "tagger":
        return function(run / part, log=log)
    import torch

    torch.set_num_threads(threads)
    if part not in ON_GPUS:
        return function(run / part, run / "cache", log=log)
    from models.miniature.train.feed import Machine

    # The tokenizer's threads do not survive in the processes that make batches.
    environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"no GPU for --device {device} here; leave it out to train on the CPU")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    machine = Machine(device, workers)
    recipe = module.FINISH if begin else module.GPU_RECIPE if machine.is_gpu else module.RECIPE
    recipe = replace(recipe, steps=steps or recipe.steps)
    more = {"begin": begin} if begin else {}
    return function(run / part, run / "cache", recipe, log, machine, **more)


def _quieten() -> None:
    """What is loaded here is a part of what was saved, on purpose, and in half of its precision."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    for library in (transformers_log, diffusers_log):
        library.set_verbosity_error()
        library.disable_progress_bar()
