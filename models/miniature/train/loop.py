# SPDX-License-Identifier: Apache-2.0
"""The training loop of every miniature model: AdamW, one cosine, EMA weights, exact resume."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.miniature.train.ended import Ended, listening


class OtherRecipe(ValueError):
    """A checkpoint is damaged, or of another schedule than the one that is to go on."""


Losses = dict[str, Tensor]
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast to train."""

    steps: int
    """Length of the schedule."""
    lr: float
    """At its peak."""
    batch: int = 32
    """Samples in a step, where a training has no size of its own."""
    stop: int | None = None
    """End after so many steps, before the schedule does: averaged weights need no full decay."""
    warmup: int = 200
    clip: float = 1.0
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.98)
    ema: float = 0.998
    begun: float = 0.0
    """Which part of a curriculum lies behind a training that goes on from finished weights, in [0, 1]."""
    checkpoint_seconds: float = 120.0
    log_every: int = 50


def progress(recipe: Recipe, step: int) -> float:
    """How far a curriculum is, in [0, 1]."""
    return recipe.begun + (1 - recipe.begun) * step / recipe.steps


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    after = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, after))))


def train(
    model: Model,
    losses: Callable[[int], Losses],
    recipe: Recipe,
    folder: Path,
    log: Callable[[str], None],
) -> Model:
    """Train in place and return the averaged (EMA) model.

    Args:
        model: what is trained; parameters without gradient are left alone.
        losses: from step number to named losses; their sum is minimised. Must be a pure function
            of the step and the weights, or a resumed run differs from an undisturbed one.
        folder: holds `checkpoint.pt` (weights, optimiser, step) and `curve.jsonl`.
        log: gets a line of progress now and then.

    Raises:
        OtherRecipe: the checkpoint in `folder` is damaged, or was made by another schedule.
        Ended: by SIGTERM or SIGINT, after what is there was saved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        trainable,
        recipe.lr,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
        fused=trainable[0].is_cuda or None,
    )
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
    start, spent = _resume(folder, recipe, model, averaged, optimiser)
    end = recipe.stop or recipe.steps
    began = saved = time.monotonic()
    model.train()
    with listening() as asked:
        for step in range(start, end):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(recipe, step)
            parts = losses(step)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(parts.values())).sum().backward()
            nn.utils.clip_grad_norm_(trainable, recipe.clip)
            optimiser.step()
            averaged.update_parameters(model)
            now, last = time.monotonic(), step == end - 1
            if step % recipe.log_every == 0 or last:
                _record(folder, step, parts, spent + now - began, log)
            if now - saved > recipe.checkpoint_seconds or last or asked.yes:
                _save(folder, recipe, model, averaged, optimiser, step + 1, spent + now - began)
                saved = time.monotonic()
            if asked.yes and not last:
                raise Ended(f"{step + 1} of {end} steps in {folder}")
    return cast(Model, averaged.module).eval()


def _record(folder: Path, step: int, parts: Losses, seconds: float, log: Callable[[str], None]) -> None:
    values = {name: round(float(value.detach()), 4) for name, value in parts.items()}
    with (folder / "curve.jsonl").open("a") as curve:
        curve.write(json.dumps({"step": step, "seconds": round(seconds, 1), **values}) + "\n")
    log(f"step {step} {seconds:.0f} s " + " ".join(f"{name} {value:.3f}" for name, value in values.items()))


def _schedule(recipe: Recipe) -> dict[str, object]:
    """What of a recipe decides the weights after a step."""
    when = ("stop", "checkpoint_seconds", "log_every")
    return {name: value for name, value in asdict(recipe).items() if name not in when}


def _save(
    folder: Path,
    recipe: Recipe,
    model: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: int,
    seconds: float,
) -> None:
    state = {
        "model": model.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": _schedule(recipe),
        "step": step,
        "seconds": seconds,
    }
    partial = folder / "checkpoint.pt.partial"
    torch.save(state, partial)
    partial.replace(folder / "checkpoint.pt")


def _resume(
    folder: Path, recipe: Recipe, model: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """The step to go on with and the seconds spent so far; forgets what was logged after it."""
    if not (folder / "checkpoint.pt").exists():
        return 0, 0.0
    try:
        state = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")
    except Exception as error:  # of damaged bytes it raises whatever it stumbles over
        raise OtherRecipe(f"{folder / 'checkpoint.pt'} is damaged") from error
    if state.get("schedule") != _schedule(recipe):
        raise OtherRecipe(f"{folder} holds a training with another schedule")
    model.load_state_dict(state["model"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    curve = folder / "curve.jsonl"
    if curve.exists():
        lines = [line for line in curve.read_text().splitlines() if json.loads(line)["step"] < state["step"]]
        curve.write_text("".join(line + "\n" for line in lines))
    return int(state["step"]), float(state["seconds"])
