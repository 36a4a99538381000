# SPDX-License-Identifier: Apache-2.0
"""What `convert` does: an original checkpoint becomes a folder, and is compared with it on the spot."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from models.backends.original.package import MissingPackage
from models.backends.protocols import BackendError
from models.references import BadReference, opened_reference
from pipeline.errors import UserError

_PICTURE = "miniature:cat-orange-blue-striped-regular-1/0"
_USE = {"grounding_dino": "detector: {name: grounding_dino, model", "sam": "segmenter: {name: sam, model"}


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """What a person asks for."""

    checkpoint: Path
    folder: Path
    text: str
    """Hub name or folder of Grounding DINO's tokenizer."""
    decoder_heads: int
    """Of SAM's mask decoder."""
    picture: Path | None = None
    """That both are shown; a drawn one if not given."""


def convert(request: ConvertRequest) -> list[str]:
    """Write the folder, and tell how far it is from the checkpoint.

    Raises:
        UserError: no such checkpoint, a folder that is in use or cannot be written, or results that differ.
    """
    folder, image = _free(request.folder), _shown(request.picture)
    try:
        from models.backends.original.convert import converted

        with _appearing(folder) as partial:
            kind = converted(request.checkpoint, partial, request.text, request.decoder_heads)
            told = _compared(kind, request, partial, image)
    except BackendError as error:
        raise UserError(str(error)) from error
    except ImportError as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"transformers cannot be imported ({first}); it needs a torch and a torchvision that go with "
            "each other, or no torchvision"
        ) from error
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())
        raise UserError(f"cannot write to {folder}: {why}; give another --to") from error
    return [f"{folder}: {_USE[kind]}: {folder.resolve()}}}", *told]


def _free(folder: Path) -> Path:
    # Paths have swallowed a slash of `s3://` by now.
    if re.match(r"[\w+]+:", str(folder)):
        raise UserError(f"--to {folder}: give a local folder")
    place = folder.expanduser()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UserError(f"--to {folder} is there already; give a new folder")
    return place


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder beside one, which takes its place at the end; an error leaves nothing."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _shown(picture: Path | None) -> Image:
    try:
        return opened_reference(_PICTURE if picture is None else str(picture))
    except BadReference as error:
        raise UserError(str(error)) from error


def _compared(kind: str, request: ConvertRequest, folder: Path, image: Image) -> list[str]:
    from models.backends.original.agreement import apart

    try:
        found = apart(kind, folder, request.checkpoint, request.text, request.decoder_heads, image)
    except MissingPackage as error:
        return [f"not compared with the authors' package: {error}"]
    if not all(difference.agrees for difference in found):
        lines = "; ".join(difference.line() for difference in found)
        raise UserError(f"what came of {request.checkpoint} is not what it is ({lines}); nothing is kept")
    shown = request.picture or "a drawn picture"
    return [f"on {shown}: {difference.line()}" for difference in found]
