# SPDX-License-Identifier: Apache-2.0
"""Pictures of a prompt with given subjects in them: what `generate --reference` does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.backends.protocols import MissingDevice, MissingWeights
from models.backends.weights import weights_digest
from models.subject_diffusion.drawing import SubjectsToImage
from models.subject_diffusion.placing import Box, checked, usual_boxes
from models.subject_diffusion.template import BadPrompt
from pipeline.cut_out import CuttingOut, Reference
from pipeline.errors import UserError
from pipeline.generate_command import file_name
from pipeline.wording import counted


def draw_subjects(
    sampler: SubjectsToImage,
    cutting: CuttingOut,
    texts: Sequence[str],
    boxes: Sequence[Box],
    prompt: str,
    seeds: Sequence[int],
    folder: Path,
) -> Iterator[str]:
    """Write a picture for each seed with a JSON of what was used, and the cut-outs; tell of each.

    Args:
        sampler: the model, and how it is to sample.
        cutting: cuts the references out.
        texts: `PICTURE[:LABEL]` of each reference.
        boxes: where each is to be, x0, y0, x1, y1 in [0, 1]; none for the usual places.
        prompt: what to draw.
        seeds: one a picture.
        folder: for the pictures; made if it is not there.

    Raises:
        UserError: bad input, no such weights or device, or the folder cannot be written to.
    """
    started = time.monotonic()
    try:
        places = checked(boxes or usual_boxes(len(texts)), len(texts))
        drawing = sampler.load()
        references = [cutting(text) for text in texts]
        folder.mkdir(parents=True, exist_ok=True)
        for number, reference in enumerate(references):
            path = folder / f"reference-{number}-{file_name(reference.label)}.png"
            reference.picture.save(path)
            yield f"{path} ({_told(reference)})"
        many = len(seeds)
        images = drawing.generate(
            [prompt] * many,
            [[reference.picture for reference in references]] * many,
            [[reference.label for reference in references]] * many,
            [places] * many,
            seeds,
        )
        about = _about(sampler, references, places, prompt)
        for seed, image in zip(seeds, images, strict=True):
            path = folder / f"{file_name(prompt)}-{seed}.png"
            image.save(path)
            path.with_suffix(".json").write_text(json.dumps({**about, "seed": seed}, indent=1) + "\n")
            yield str(path)
    except (MissingWeights, MissingDevice, BadPrompt, ValueError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; give another --output"
        ) from error
    yield f"{counted(len(seeds), 'picture')} in {time.monotonic() - started:.1f} s"


def _told(reference: Reference) -> str:
    if reference.box is None:
        return f"{reference.label}, as it is"
    x0, y0, x1, y1 = (round(value) for value in reference.box)
    return f"{reference.label}, found at {x0},{y0},{x1},{y1} with score {reference.score:.2f}"


def _about(
    sampler: SubjectsToImage, references: Sequence[Reference], places: Sequence[Box], prompt: str
) -> dict[str, Any]:
    subjects = [
        {
            "picture": str(reference.source),
            "sha256": sha256(reference.source.read_bytes()).hexdigest(),
            "label": reference.label,
            "found_at": reference.box,
            "score": reference.score,
            "placed_at": place,
        }
        for reference, place in zip(references, places, strict=True)
    ]
    packages = {name: version(name) for name in ("subjectforge", "torch", "diffusers", "transformers")}
    weights = weights_digest(sampler.model)
    return {
        "prompt": prompt,
        "subjects": subjects,
        **asdict(sampler),
        "weights": weights,
        "packages": packages,
    }
