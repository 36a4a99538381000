# SPDX-License-Identifier: Apache-2.0
"""What `generate --method` does: sets of pictures of a subject, a contact sheet, a JSON to repeat them by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from models.backends.protocols import MissingWeights
from models.backends.weights import weights_digest
from models.consistency.consistory.remembered import Remembered
from models.consistency.method import Tell
from models.consistency.seeds import picture_seeds
from models.consistency.state import State
from pipeline.consistency.request import MethodRequest, check_folder
from pipeline.consistency.sheet import contact_sheet, shown_masks
from pipeline.errors import UserError
from pipeline.generate_command import file_names
from pipeline.progress import shown
from pipeline.wording import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Sets:
    """What to draw."""

    prompts: Sequence[str]
    seeds: Sequence[int]
    """A set of all prompts for each."""
    states: Sequence[Path] = ()
    """What was learnt of the subject; several for methods that compose them."""
    pictures: Sequence[Image.Image] = ()
    more: dict[str, Any]
    """What else the method takes, such as a layout."""
    given: Mapping[str, Any]
    """What `pictures` and `more` were made of, by the options' names."""
    folder: Path
    masks: bool = False
    """Whether to show where the subjects were found."""


def draw_sets(request: MethodRequest, sets: Sets) -> Iterator[str]:
    """Write every picture, a sheet and a JSON; tell of each.

    Raises:
        UserError: bad input, no such weights or device, or the folder cannot be written to.
    """
    method = request.built()
    # A layout works without a learnt subject too.
    if request.entry.tuned and not sets.states and not sets.more:
        raise UserError(
            f"{request.method} learns a subject first; run `subjectforge tune --method {request.method}` and "
            "give its --output as --state"
        )
    if sets.masks and not hasattr(method, "masks"):
        raise UserError(
            f"--masks is for methods that look for the subject, such as consistory; {request.method} does not"
        )
    subject, sampling = request.subject(sets.pictures), request.sampling()
    if sets.states and not (request.entry.tuned or request.entry.anchored):
        raise UserError(f"--state is for methods that learn or keep something; {request.method} does not")
    state = loaded_state(method.name, sets.states)
    check_folder(sets.folder)
    pipe = request.load()
    anchors = len(state.state.about["prompts"]) if isinstance(state, Remembered) else 0
    rows, masked, names = [], [], file_names(sets.prompts)
    try:
        sets.folder.mkdir(parents=True, exist_ok=True)
        for seed in sets.seeds:
            seeds = picture_seeds(seed, len(sets.prompts), anchors)
            with told_of(sampling.steps) as tell:
                images = method.generate(
                    pipe, subject, state, sets.prompts, seeds, sampling, tell, **sets.more
                )
            rows.append(images)
            masked += shown_masks(images, method.masks) if sets.masks else []
            for name, image in zip(names, images, strict=True):
                path = sets.folder / f"{name}-{seed}.png"
                image.save(path)
                yield str(path)
        used = {"device": str(pipe.unet.device), "precision": str(pipe.unet.dtype)}
        about = {**_about(request, sets, method, anchors), **used, "cost": asdict(method.cost())}
        (sets.folder / "set.json").write_text(json.dumps(about, indent=1, default=str) + "\n")
        sheet = sets.folder / "sheet.png"
        contact_sheet(rows, sets.prompts, [str(seed) for seed in sets.seeds]).save(sheet)
        yield str(sheet)
        if masked:
            grids = sorted(method.masks)
            told = [f"{seed}: {high} x {wide}" for seed in sets.seeds for high, wide in grids]
            contact_sheet(masked, sets.prompts, told).save(sets.folder / "masks.png")
            yield str(sets.folder / "masks.png")
    except (MissingWeights, ValueError, FloatingPointError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(
            f"cannot write to {sets.folder}: {error.strerror or error}; give another --output"
        ) from error
    many = len(sets.prompts) * len(sets.seeds)
    yield f"{counted(many, 'picture')}, {method.cost().image_seconds:.2f} s each"


def loaded_state(method: str, folders: Sequence[Path]) -> Any:
    """What was learnt of a subject, or of several; None of nothing.

    Raises:
        UserError: a folder holds none.
    """
    try:
        if method == "consistory" and folders:
            if len(folders) > 1:
                raise UserError("--state is given several times; consistory takes the anchors of one")
            return Remembered.load(folders[0])
        states = [State.load(folder) for folder in folders]
        if method == "cones2" and states:
            from models.consistency.cones2.cones2 import composed

            return composed(states)
    except ValueError as error:
        raise UserError(str(error)) from error
    return states if len(states) > 1 else next(iter(states), None)


@contextmanager
def told_of(steps: int) -> Iterator[Tell]:
    """Something to tell of progress."""
    doing = ""
    with shown(steps, about=lambda: doing, unit="step") as show:

        def tell(done: int, of: int, what: str) -> None:
            nonlocal doing
            doing = what
            show(done, of)

        yield tell


def _about(request: MethodRequest, sets: Sets, method: Any, anchors: int) -> dict[str, Any]:
    """Everything that is needed to draw the same again."""
    names = ("subjectforge", "torch", "diffusers", "transformers", "peft")
    return {
        "method": request.method,
        "options": asdict(method.options),
        "subjects": [*request.subjects],
        "prompts": [*sets.prompts],
        "seeds": {seed: picture_seeds(seed, len(sets.prompts), anchors) for seed in sets.seeds},
        "states": [str(path) for path in sets.states],
        **sets.given,
        "negative": request.negative,
        "model": asdict(request.sampler),
        "weights": weights_digest(request.sampler.model),
        "packages": {name: version(name) for name in names},
    }
