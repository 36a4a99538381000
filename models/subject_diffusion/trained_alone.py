# SPDX-License-Identifier: Apache-2.0
"""What training changed alone, put on the base that it was trained on: megabytes instead of a whole model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from models.backends.protocols import MissingWeights
from models.subject_diffusion.export import TOLD, TRAINED

if TYPE_CHECKING:
    import torch

    from models.subject_diffusion.model import SubjectDiffusion
    from models.subject_diffusion.subject_pipeline import SubjectDiffusionPipeline


def is_trained_alone(folder: Path) -> bool:
    """Whether a folder has such weights, and not the rest of an exported pipeline."""
    return (folder / TRAINED).is_file() and not (folder / "model_index.json").exists()


def with_base(folder: Path, dtype: torch.dtype) -> SubjectDiffusionPipeline:
    """The pipeline that the whole export would have been.

    Args:
        folder: with `trained.safetensors` and `training.json`, which names the base and the options.
        dtype: to draw in.

    Raises:
        MissingWeights: a file is damaged or not there, the base cannot be had, or it is another one.
    """
    import torch

    # Whatever is made before it is loaded begins with random numbers, all of which are replaced.
    with torch.random.fork_rng(devices=[]):
        return _assembled(folder, dtype)


def put_trained(model: SubjectDiffusion, folder: Path) -> None:
    """Give a model the weights of an earlier training of the same architecture.

    Args:
        model: changed in place.
        folder: with `trained.safetensors`.

    Raises:
        MissingWeights: the file is not there or damaged, or of another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / TRAINED)
    except (OSError, SafetensorError) as error:
        raise MissingWeights(
            f"cannot begin with '{folder / TRAINED}': {error}; give `begin:` the export of a training"
        ) from error
    if differing := _differing(model, tensors):
        raise MissingWeights(
            f"cannot begin with '{folder / TRAINED}': it is of another architecture, for instance in "
            f"{differing[0]}; give this training the `model` and `base` of that one"
        )
    model.load_state_dict(tensors, strict=False)


def _differing(model: SubjectDiffusion, tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of trained parameters that are missing on one side or of another shape."""
    wanted = {name: each.shape for name, each in model.named_parameters() if each.requires_grad}
    found = {name: each.shape for name, each in tensors.items()}
    return [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]


def _assembled(folder: Path, dtype: torch.dtype) -> SubjectDiffusionPipeline:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from models.subject_diffusion.base import assembled, load_base, load_tower
    from models.subject_diffusion.finished import pipeline_of
    from models.subject_diffusion.options import USUAL_GUIDANCE, options_of

    try:
        config = json.loads((folder / TOLD).read_text())["config"]
        guidance = config["watching"].get("guidance", USUAL_GUIDANCE)
        options, tensors = options_of(config["model"]), load_file(folder / TRAINED)
        base = load_base(config["base"], config["base_revision"])
        tower = load_tower(config["subject_encoder"], config["subject_encoder_revision"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise MissingWeights(
            f"'{folder}' is no Subject-Diffusion: {error!r}; train or export it again"
        ) from error
    model, _ = assembled(base, tower, options)
    if _differing(model, tensors):
        raise MissingWeights(
            f"'{folder}' was not trained on '{config['base']}' as it is now; export it again"
        )
    model.load_state_dict(tensors, strict=False)
    pipeline = pipeline_of(model.eval().requires_grad_(False), base, tower, guidance)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            torch.nn.Module.to(part, dtype)
    return pipeline
