# SPDX-License-Identifier: Apache-2.0
"""What `tune` does: learns a subject, and writes what was learnt to a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from models.backends.protocols import BackendError, MissingWeights
from models.consistency.seeds import picture_seeds
from models.consistency.words import whole_words
from pipeline.config import load_config
from pipeline.consistency.draw import told_of
from pipeline.consistency.request import MethodRequest, check_folder, read_pictures
from pipeline.consistency.sheet import contact_sheet
from pipeline.errors import UserError


@dataclass(frozen=True, slots=True)
class References:
    """A subject's pictures, and what is said of them."""

    paths: Sequence[str]
    captions: Sequence[str]
    builder: Path | None
    """Configuration of a build whose captioner says it."""

    def said(self, pictures: Sequence[Image.Image], request: MethodRequest) -> tuple[str, ...]:
        """Captions as given, or by the builder's captioner where it names the subject just once.

        Raises:
            UserError: there are too few or too many, or the captioner has no weights.
        """
        if self.captions and len(self.captions) != len(pictures):
            raise UserError(
                f"{len(self.captions)} --caption for {len(pictures)} --reference; give one for each"
            )
        if self.captions or self.builder is None:
            return tuple(self.captions)
        if len(request.words) > 1:
            raise UserError(
                "--builder does not know who is in which picture; give several subjects' pictures --caption"
            )
        captioner: Any = load_config(self.builder).stages["caption"]
        noun = next(iter(request.words))
        try:
            captioner.captioner.check()
            told = captioner.captioner.load().caption([*pictures])
        except BackendError as error:
            raise UserError(f"the captioner of {self.builder}: {error}") from error
        once = [len(whole_words(caption, noun)) == 1 for caption in told]
        return tuple(
            caption if fits else f"a photo of a {noun}" for caption, fits in zip(told, once, strict=True)
        )


def tune_subject(
    request: MethodRequest,
    references: References,
    prompts: Sequence[str],
    seed: int,
    folder: Path,
) -> Iterator[str]:
    """Learn, and tell of what was written.

    Args:
        request: method, subject and model.
        references: its pictures, and what is said of them.
        prompts: that a method without pictures draws the subject with first; of ConsiStory's anchors.
        seed: of anchors.
        folder: for the state.

    Raises:
        UserError: bad input, no such weights or device, or the folder cannot be written to.
    """
    method = request.built()
    _check(request, references, prompts, seed)
    pictures = read_pictures(references.paths)
    captions = references.said(pictures, request)
    subject = request.subject(pictures, captions=captions, prompt=next(iter(prompts), None))
    check_folder(folder)
    sampling, pipe = request.sampling(), request.load()
    began = time.perf_counter()
    try:
        with told_of(getattr(method.options, "steps", sampling.steps)) as tell:
            if references.paths or not request.entry.anchored:
                state, drawn = method.fit(pipe, subject, sampling, tell), getattr(method, "pictures", ())
            else:
                seeds = picture_seeds(seed, len(prompts))
                drawn, state = method.remember(pipe, subject, prompts, seeds, sampling, folder, tell=tell)
        state.save(folder)
        if drawn:
            names = [*prompts] if len(drawn) == len(prompts) else [str(place) for place in range(len(drawn))]
            contact_sheet([drawn], names, [""]).save(folder / "pictures.png")
    except (MissingWeights, ValueError, FloatingPointError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; give another --output"
        ) from error
    for path, caption in zip(references.paths, captions, strict=False):
        yield f"{path}: {caption}"
    if drawn:
        yield f"{folder / 'pictures.png'}: what it was learnt from"
    seconds = time.perf_counter() - began
    yield f"{folder}: {', '.join(request.words)} learnt in {seconds:.1f} s, {state.bytes:,} bytes"


def _check(request: MethodRequest, references: References, prompts: Sequence[str], seed: int) -> None:
    kind, name = request.entry, request.method
    if not kind.tuned and not kind.anchored:
        raise UserError(f"{name} learns nothing; use it with `subjectforge generate --method`")
    if kind.anchored and bool(references.paths) == bool(prompts):
        raise UserError(
            f"{name} learns nothing, but keeps anchors for later prompts; give --prompt once for each anchor "
            "that it is to draw, or --reference for each picture that is one"
        )
    if kind.pictures and not references.paths:
        raise UserError(f"{name} learns from pictures; give --reference PICTURE, several times")
    learns_alone = kind.tuned and not kind.pictures
    if references.captions and (learns_alone or name == "cones2"):
        raise UserError(f"--caption is for methods that learn from captions; {name} has its own sentences")
    if prompts and kind.pictures:
        raise UserError(f"--prompt is for methods that draw the subject first; {name} learns from pictures")
    if len(references.paths) > 1 and learns_alone:
        raise UserError(f"--reference is given {len(references.paths)} times; {name} learns from one picture")
    if seed and not kind.anchored:
        raise UserError(f"--seed is for anchors; give {name} --set seed={seed}")
    if request.negative is not None and kind.pictures:
        raise UserError(f"--negative is for methods that draw the subject first; {name} learns from pictures")
    if request.negative is not None and kind.anchored and references.paths:
        raise UserError("--negative does not go with given pictures as anchors; leave it out")
    if len(prompts) > 1 and not kind.anchored:
        raise UserError(f"--prompt is given {len(prompts)} times; {name} takes one")
