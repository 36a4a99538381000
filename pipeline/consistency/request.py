# SPDX-License-Identifier: Apache-2.0
"""What `generate --method` and `tune` were asked for, checked before anything slow begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from PIL import Image

from models.backends.protocols import MissingDevice, MissingWeights
from models.consistency.method import Sampling, Subject
from models.consistency.registry import METHODS, Entry, entry
from models.generation import TextToImage
from models.subject_diffusion.drawing import SubjectsToImage
from pipeline.config import apply_override
from pipeline.errors import UserError
from pipeline.fields import build, nearest

_ARTICLES = ("a ", "an ", "the ")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MethodRequest:
    """Options that both commands have; None for what the model usually has."""

    method: str
    subjects: tuple[str, ...]
    overrides: tuple[str, ...]
    sampler: TextToImage
    negative: str | None = None

    @property
    def entry(self) -> Entry:
        """The method.

        Raises:
            UserError: there is no such one.
        """
        try:
            return entry(self.method)
        except (KeyError, ImportError, AttributeError, ValueError) as error:
            raise UserError(
                f"--method {self.method}: no such method{nearest(self.method, METHODS)}"
            ) from error

    @property
    def words(self) -> tuple[str, ...]:
        """What prompts call the subjects: `a red fox` is `red fox`.

        Raises:
            UserError: there is no subject.
        """
        found = tuple(_without_article(subject) for subject in self.subjects)
        if not found or not all(found):
            raise UserError(
                '--subject is missing; say what is to stay the same, such as --subject "a red fox"'
            )
        return found

    def built(self) -> Any:
        """The method with its options.

        Raises:
            UserError: an option is unknown, or makes no sense.
        """
        kind = self.entry
        try:
            usual = kind.defaults()
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise UserError(
                f"--method {self.method}: no method with options ({error}); see `ls methods`"
            ) from error
        values = {each.name: getattr(usual, each.name) for each in dataclasses.fields(usual)}
        for override in self.overrides:
            changed: dict[str, Any] = {}
            apply_override(changed, override)
            values |= changed
        return kind.build(build(type(usual), values, self.method))

    def sampling(self) -> Sampling:
        """How to sample."""
        sampler = self.sampler
        return Sampling(
            steps=sampler.steps,
            guidance=sampler.guidance,
            height=sampler.size,
            width=sampler.size,
            negative=self.negative,
        )

    def load(self) -> Any:
        """The pipeline.

        Raises:
            UserError: no such weights or device.
        """
        try:
            if self.entry.cut_out:
                return self._subject_diffusion().load().pipeline
            return self.sampler.load()
        except (MissingWeights, MissingDevice) as error:
            raise UserError(str(error)) from error

    def _subject_diffusion(self) -> SubjectsToImage:
        """The sampler of the same model."""
        names = ("model", "revision", "device", "threads", "size")
        return SubjectsToImage(**{name: getattr(self.sampler, name) for name in names})

    def subject(self, pictures: Sequence[Image.Image] = (), **more: Any) -> Subject:
        """With what is known of it."""
        return Subject(words=self.words, pictures=tuple(pictures), **more)


def sampler_of(**values: Any) -> TextToImage:
    """The model, and how it samples.

    Raises:
        UserError: a value makes no sense.
    """
    try:
        return TextToImage(**{name: value for name, value in values.items() if value is not None})
    except ValueError as error:
        raise UserError(f"--{error}") from error


def read_prompts(path: Path) -> list[str]:
    """A prompt a line; empty lines and those that begin with # do not count.

    Raises:
        UserError: there is no such file, or no prompt in it.
    """
    try:
        # With or without a byte order mark, as editors of Windows write it.
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--prompts {path}: cannot be read ({error}); give a text file") from error
    stripped = [line.strip() for line in lines]
    prompts = [line for line in stripped if line and not line.startswith("#")]
    if not prompts:
        raise UserError(f"--prompts {path} has no prompt; write one a line")
    return prompts


def read_pictures(paths: Iterable[str]) -> list[Image.Image]:
    """RGB pictures.

    Raises:
        UserError: one is missing, or none.
    """
    found = []
    for path in paths:
        try:
            with Image.open(path) as opened:
                found.append(opened.convert("RGB"))
        except FileNotFoundError as error:
            raise UserError(f"no picture {path}") from error
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{path} is no picture that can be read: {error}") from error
    return found


def _without_article(text: str) -> str:
    plain = " ".join(text.split())
    for article in _ARTICLES:
        plain = plain[len(article) :] if plain.lower().startswith(article) else plain
    return plain


def check_folder(folder: Path) -> None:
    """That it can be written to, before anything slow is done.

    Raises:
        UserError: it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; give another --output"
        ) from error
