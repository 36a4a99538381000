# SPDX-License-Identifier: Apache-2.0
"""What `convert` does: an original checkpoint becomes a folder, and is compared with it on the spot."""

from __future__ import annotations

from collections.abc import Iterator
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


def convert(request: ConvertRequest) -> Iterator[str]:
    """Write the folder, and tell how far it is from the checkpoint.

    Raises:
        UserError: no such checkpoint, a folder that is in use or cannot be written, or results that differ.
    """
    from models.backends.original.convert import converted

    _check_free(request.folder)
    image = _shown(request.picture)
    try:
        kind = converted(request.checkpoint, request.folder, request.text, request.decoder_heads)
    except BackendError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        told = error.strerror or error
        raise UserError(f"cannot write to {request.folder}: {told}; give another --to") from error
    yield f"{request.folder}: {_USE[kind]}: {request.folder.resolve()}}}"
    yield from _compared(kind, request, image)


def _check_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--to {folder} is there already; give a new folder")


def _shown(picture: Path | None) -> Image:
    try:
        return opened_reference(_PICTURE if picture is None else str(picture))
    except BadReference as error:
        raise UserError(str(error)) from error


def _compared(kind: str, request: ConvertRequest, image: Image) -> Iterator[str]:
    from models.backends.original.agreement import apart

    try:
        found = apart(kind, request.folder, request.checkpoint, request.text, request.decoder_heads, image)
    except MissingPackage as error:
        yield f"not compared with the authors' package: {error}"
        return
    except BackendError as error:
        raise UserError(str(error)) from error
    for difference in found:
        yield f"on {request.picture or 'a drawn picture'}: {difference.line()}"
    if not all(difference.agrees for difference in found):
        raise UserError(f"{request.folder} is not what {request.checkpoint} is: see the differences above")
