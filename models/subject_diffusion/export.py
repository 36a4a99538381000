# SPDX-License-Identifier: Apache-2.0
"""A trained model as a folder that diffusers loads without this package, and its trained weights alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.file_mode import as_usual
from models.subject_diffusion.bundle import bundled
from models.subject_diffusion.subject_pipeline import SubjectDiffusionPipeline

PIPELINE, UNET, MODULES = "subject_pipeline", "subject_unet", "subject_modules"
TRAINED = "trained.safetensors"
TOLD = "training.json"
"""Says what a folder was trained on, and how."""


def save_pipeline(pipeline: SubjectDiffusionPipeline, folder: Path) -> None:
    """Write a folder for `DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)`.

    Its code is in it, in three files that import diffusers, transformers and torch alone.

    Args:
        pipeline: in the precision that is to be stored.
        folder: gets the files; others in it stay.
    """
    pipeline.save_pretrained(folder, safe_serialization=True)
    for path in folder.rglob("*.safetensors"):
        as_usual(path)
    codes = {"": PIPELINE, "unet": UNET, "subjects": MODULES}
    for part, module in codes.items():
        (folder / part / f"{module}.py").write_text(bundled(module), encoding="utf-8")
    path = folder / "model_index.json"
    index: dict[str, Any] = json.loads(path.read_text())
    index |= {
        "_class_name": [PIPELINE, "SubjectDiffusionPipeline"],
        "unet": [UNET, "SubjectUNet"],
        "subjects": [MODULES, "SubjectModules"],
        # The name that is there whatever decodes pictures.
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    path.write_text(json.dumps(index, indent=2) + "\n")


def save_trained(tensors: Mapping[str, Tensor], folder: Path, dtype: torch.dtype) -> None:
    """Write what training changed as one file; on the same base it makes the same model.

    Args:
        tensors: by name.
        folder: gets `trained.safetensors`.
        dtype: to store them in.
    """
    stored = {name: value.to(dtype).contiguous() for name, value in tensors.items()}
    save_file(stored, folder / TRAINED, {"format": "pt"})
    as_usual(folder / TRAINED)
