# SPDX-License-Identifier: Apache-2.0
"""What a training leaves: the exported folder and the trained weights alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from models.subject_diffusion.export import TOLD, save_pipeline, save_trained
from models.subject_diffusion.finished import pipeline_of
from pipeline.train.checkpoint import whole_model
from pipeline.train.config import TrainConfig
from pipeline.train.setup import Prepared, load_models
from pipeline.train.world import World

FOLDER = "export"
_PREFIX = "model."
"""Of the model's names in the objective."""


def exported_steps(run: Path) -> int:
    """Steps of the training that a run's export is of; 0 if there is none."""
    path = run / FOLDER / TOLD
    return int(json.loads(path.read_text())["steps"]) if path.exists() else 0


def export(config: TrainConfig, run: Path, prepared: Prepared, world: World) -> Path:
    """Write `run/export` with the averaged weights, in float16; every process takes part.

    Returns:
        The folder.
    """
    folder = run / FOLDER
    with prepared.training.optimising.averaged():
        tensors = whole_model(prepared.training)
    if world.first:
        trained = {name.removeprefix(_PREFIX): value for name, value in tensors.items()}
        # The base anew: what is trained may be shared out among the processes, and goes on in float32.
        model, _, base, tower = load_models(config)
        model.load_state_dict(trained, strict=False)
        pipeline = pipeline_of(model, base, tower, config.watching.guidance)
        folder.mkdir(parents=True, exist_ok=True)
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                # Not diffusers' own `to`, which warns of every change of precision.
                nn.Module.to(part, torch.float16)
        save_pipeline(pipeline, folder)
        save_trained(trained, folder, torch.float16)
        told = {"steps": config.max_steps, "config": asdict(config)}
        (folder / TOLD).write_text(json.dumps(told, indent=1) + "\n")
    world.wait()
    return folder
