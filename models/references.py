# SPDX-License-Identifier: Apache-2.0
"""Given pictures of a subject: files, or the miniature's world drawn anew from a name."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from models.miniature.world import Identity

_WORLD = "miniature:"
_STYLE = f"{_WORLD}style/"
_PIXELS = 128
_PLACES = ("grass", "beach", "street", "kitchen", "snow", "night")
_ANGLES = (-8.0, 5.0, 0.0, 9.0, -4.0, 2.0)


class BadReference(ValueError):
    """A picture of a subject cannot be had: one line that says which and why."""


def digest_of_reference(name: str) -> str | None:
    """SHA-256 of a picture's file; None of what is drawn from its name.

    Raises:
        BadReference: there is none of that name, or it cannot be read.
    """
    return None if name.startswith(_WORLD) else sha256(_bytes(name)).hexdigest()


def opened_reference(name: str, digest: str | None = None) -> Image.Image:
    """A picture, RGB and upright.

    Args:
        name: a path, `miniature:cat-red-blue-striped-slim-1/2` for the third picture of an identity, or
            `miniature:style/sunset/2` for the third one in a style, of other subjects.
        digest: SHA-256 that its file has to have; any if None.

    Raises:
        BadReference: there is none of that name, it cannot be read, or is another one.
    """
    if name.startswith(_STYLE):
        return _styled(name)
    if name.startswith(_WORLD):
        return _rendered(name)
    stored = _bytes(name)
    if digest is not None and sha256(stored).hexdigest() != digest:
        raise BadReference(f"{name} has changed since the run began; start it again with --overwrite")
    try:
        with Image.open(BytesIO(stored)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError as error:
        raise BadReference(
            f"{name} is no picture; give one in a usual format, such as JPEG or PNG"
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadReference(f"{name} is no picture that can be read: {error}") from error


def _bytes(name: str) -> bytes:
    try:
        return Path(name).expanduser().read_bytes()
    except FileNotFoundError as error:
        raise BadReference(f"no picture {name}; give the path of one") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise BadReference(f"{name} cannot be read: {error}") from error


def names_of_identity(identity: Identity, count: int) -> tuple[str, ...]:
    """Names of the first pictures of an identity.

    Args:
        identity: of the miniature's world.
        count: up to 6, each before another background.
    """
    return tuple(f"{_WORLD}{identity.id}/{number}" for number in range(min(count, len(_PLACES))))


def place_of_reference(number: int) -> str:
    """The background of the pictures of that number."""
    return _PLACES[number]


def names_of_style(style: str, count: int) -> tuple[str, ...]:
    """Names of the first pictures of a style, up to 6, each before another background."""
    return tuple(f"{_STYLE}{style}/{number}" for number in range(min(count, len(_PLACES))))


def subject_of_style(style: str, number: int) -> Identity:
    """Who is in the pictures of that number: somebody whom trainings may know."""
    from models.miniature.world import NOUNS, held_out_identity, sample_identity

    rng = np.random.default_rng((20261127, number, *style.encode()))
    noun = NOUNS[int(rng.integers(len(NOUNS)))]
    while held_out_identity(identity := sample_identity(rng, noun)):
        pass
    return identity


def _styled(name: str) -> Image.Image:
    from models.miniature.world.styles import STYLES

    style, _, number = name.removeprefix(_STYLE).partition("/")
    if style not in STYLES or number not in {*map(str, range(len(_PLACES)))}:
        raise BadReference(f"{name} is no picture of a style; give {_STYLE}STYLE/NUMBER with {[*STYLES]}")
    shown = subject_of_style(style, int(number))
    return STYLES[style].painted(_rendered(f"{_WORLD}{shown.id}/{number}"))


def _rendered(name: str) -> Image.Image:
    from models.miniature.world import Identity, Placement, Scene, render_scene

    who, _, number = name.removeprefix(_WORLD).rpartition("/")
    try:
        noun, body, accent, pattern, build, trait = who.split("-")
        identity, place = Identity(noun, body, accent, pattern, build, int(trait)), int(number)
        placement = Placement(identity, (0.5, 0.52), 0.66, _ANGLES[place], place % 2 == 1)
        return render_scene(Scene(_PLACES[place], (placement,), (20261127, place)), _PIXELS).image
    except (ValueError, KeyError, IndexError) as error:
        raise BadReference(
            f"{name} is no picture of the world; give miniature:NOUN-BODY-ACCENT-PATTERN-BUILD-TRAIT/NUMBER"
        ) from error
