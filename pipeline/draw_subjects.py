# SPDX-License-Identifier: Apache-2.0
"""Pictures of a prompt with given subjects in them: what `generate --reference` does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from models.backends.protocols import MissingDevice, MissingWeights
from models.backends.weights import located, weights_digest
from models.subject_diffusion.drawing import Drawing, SubjectsToImage
from models.subject_diffusion.placing import Box, checked
from models.subject_diffusion.template import BadPrompt
from pipeline.cut_out import CuttingOut, Reference, opened, split_reference
from pipeline.errors import UserError
from pipeline.generate_command import file_name
from pipeline.wording import counted

Places = Callable[[int], Sequence[Box]]
"""Where the subjects of a seed's picture are to be."""


def draw_subjects(
    sampler: SubjectsToImage,
    cutting: CuttingOut,
    texts: Sequence[str],
    places: Places,
    prompt: str,
    seeds: Sequence[int],
    folder: Path,
) -> Iterator[str]:
    """Write a picture for each seed with a JSON of what was used, and the cut-outs; tell of each.

    Args:
        sampler: the model, and how it is to sample.
        cutting: cuts the references out.
        texts: `PICTURE[:LABEL]` of each reference.
        places: where each is to be, by seed.
        prompt: what to draw.
        seeds: one a picture.
        folder: for the pictures; made if it is not there.

    Raises:
        UserError: bad input, no such weights or device, or the folder cannot be written to.
    """
    started, many = time.monotonic(), len(seeds)
    try:
        # Mistakes that show at once come before what takes seconds to load.
        boxes = [checked(places(seed), len(texts)) for seed in seeds]
        located(sampler.model)
        given = [opened(split_reference(text)[0]) for text in texts]
        drawing = sampler.load()
        references = [cutting(text, image) for text, image in zip(texts, given, strict=True)]
        folder.mkdir(parents=True, exist_ok=True)
        yield from _written(references, folder)
        pictures = [reference.picture for reference in references]
        labels = [reference.label for reference in references]
        images = drawing.generate([prompt] * many, [pictures] * many, [labels] * many, boxes, seeds)
        if unread := drawing.unread(prompt, labels):
            yield f"the prompt is too long: its last {counted(unread, 'token')} are not read"
        about = _about(drawing, references, prompt) | {"cut_out_by": cutting.used, "unread_tokens": unread}
        for seed, place, image in zip(seeds, boxes, images, strict=True):
            path = folder / f"{file_name(prompt)}-{seed}.png"
            image.save(path)
            told = {**about, "seed": seed, "placed_at": place}
            path.with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
            yield str(path)
    except (MissingWeights, MissingDevice, BadPrompt, ValueError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; give another --output"
        ) from error
    yield f"{counted(many, 'picture')} in {time.monotonic() - started:.1f} s"


def _written(references: Sequence[Reference], folder: Path) -> Iterator[str]:
    """The cut-outs as files."""
    for number, reference in enumerate(references):
        path = folder / f"reference-{number}-{file_name(reference.label)}.png"
        reference.picture.save(path)
        yield f"{path} ({_told(reference)})"


def _told(reference: Reference) -> str:
    if reference.box is None:
        return f"{reference.label}, as it is"
    x0, y0, x1, y1 = (round(value) for value in reference.box)
    return f"{reference.label}, found at {x0},{y0},{x1},{y1} with score {reference.score:.2f}"


def _about(drawing: Drawing, references: Sequence[Reference], prompt: str) -> dict[str, Any]:
    subjects = [
        {
            "picture": str(reference.source),
            "sha256": sha256(reference.source.read_bytes()).hexdigest(),
            "label": reference.label,
            "found_at": reference.box,
            "score": reference.score,
        }
        for reference in references
    ]
    packages = {name: version(name) for name in ("subjectforge", "torch", "diffusers", "transformers")}
    weights = weights_digest(drawing.how.model)
    return {
        "prompt": prompt,
        "subjects": subjects,
        **asdict(drawing.how),
        **drawing.guidance,
        "device": drawing.device,
        "weights": weights,
        "packages": packages,
    }
