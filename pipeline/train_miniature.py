# SPDX-License-Identifier: Apache-2.0
"""Starts the training of one of the miniature's models."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from os import environ
from pathlib import Path

from pipeline.errors import UserError

GENERATION = ("autoencoder", "clip", "clip_large", "dino", "judge", "text2image", "text2image_xl")
"""Whose trainings have a recipe for a GPU besides the one for two cores."""


_BUILDS_ON = {
    "text2image": ("autoencoder", "clip"),
    "text2image_xl": ("autoencoder", "clip", "clip_large"),
}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How a training differs from the recipe for two cores."""

    device: str = "cpu"
    workers: int = 0
    """Processes that make batches ahead."""
    steps: int | None = None
    """Another length than the recipe's."""
    begin: Path | None = None
    """A saved text2image pipeline to go on from."""


def train_part(part: str, run: Path, threads: int, options: TrainOptions) -> Path:
    """Train a model under `run`, by its module in `models.miniature.train`; return the saved folder.

    Raises:
        UserError: the model has no such options or lacks what it builds on, there is no such GPU, or `run`
            holds another training.
        Ended: by SIGTERM or SIGINT, after what is there was saved.
    """
    _check(part, run, options)
    log = partial(print, flush=True)
    if part == "tagger":
        return _training(part)(run / part, log=log)
    import torch

    from models.miniature.train.loop import OtherRecipe

    torch.set_num_threads(threads)
    try:
        if part in GENERATION:
            return _train_generation(part, run, options)
        return _training(part)(run / part, run / "cache", log=log)
    except OtherRecipe as error:
        raise UserError(f"{error}; move it away, or give the options that it was begun with") from error


def _training(part: str) -> Callable[..., Path]:
    return getattr(import_module(f"models.miniature.train.{part}"), f"train_{part}")


def _check(part: str, run: Path, options: TrainOptions) -> None:
    begin = options.begin
    if begin and not part.startswith("text2image"):
        raise UserError(f"the {part} goes on from its own checkpoint only; leave --begin out")
    if begin and not (begin / "unet/config.json").is_file():
        raise UserError(
            f"{begin} is no saved pipeline (it has no unet/config.json); give one that training made"
        )
    if part not in GENERATION and options != TrainOptions():
        raise UserError(f"the {part} takes no --device, --workers or --steps; leave them out")
    for other in _BUILDS_ON.get(part, ()):
        if not (run / other / "export").is_dir():
            raise UserError(
                f"{part} builds on {other}, and there is no {run / other / 'export'}; train it first with "
                f"`subjectforge miniature train {other} --run {run}`"
            )


def _train_generation(part: str, run: Path, options: TrainOptions) -> Path:
    import torch

    from models.miniature.train.feed import Machine

    machine = Machine(options.device, options.workers)
    if options.device != "cpu" and not machine.is_gpu:
        raise UserError(f"--device {options.device}: expected cpu, cuda or cuda:N")
    if machine.is_gpu:
        if not torch.cuda.is_available():
            raise UserError(f"no GPU for --device {options.device} here; leave it out to train on the CPU")
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    # The tokenizer's threads do not survive in the processes that make batches.
    environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _quieten()
    module = import_module(f"models.miniature.train.{part}")
    recipe = module.FINISH if options.begin else module.GPU_RECIPE if machine.is_gpu else module.RECIPE
    recipe = replace(recipe, steps=options.steps or recipe.steps)
    more = {"begin": options.begin} if options.begin else {}
    return _training(part)(run / part, run / "cache", recipe, partial(print, flush=True), machine, **more)


def _quieten() -> None:
    """What is loaded here is a part of what was saved, on purpose, and in half of its precision."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    for library in (transformers_log, diffusers_log):
        library.set_verbosity_error()
        library.disable_progress_bar()
