# SPDX-License-Identifier: Apache-2.0
"""Pictures small enough to lie in a page."""

import base64
import warnings
from io import BytesIO

from PIL import Image, ImageOps

from stages.shard.place import Place

MAX_SIDE = 320


class NoPicture(Exception):
    """Why a picture cannot be shown, in a few words for people."""


def stored(tar: Place, offset: int | None, size: int | None) -> bytes:
    """The `size` bytes of a tar that begin at byte `offset`.

    Raises:
        NoPicture: no such tar, or no such place in it.
    """
    if offset is None or not size:
        raise NoPicture("the shard's table does not say where the picture is")
    try:
        with tar.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise NoPicture("the shard's tar cannot be read") from error


def decoded(encoded: bytes) -> Image.Image:
    """The picture, upright RGB, no larger than `MAX_SIDE` on either side.

    Raises:
        NoPicture: the bytes are not a picture, a damaged one, or one of dangerous size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(encoded))
        image.draft("RGB", (2 * MAX_SIDE, 2 * MAX_SIDE))
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    except Exception as error:
        # A broken file makes decoders raise nearly anything: SyntaxError, struct.error, ...
        raise NoPicture("the file is not a readable picture") from error
    return image


def data_uri(image: Image.Image) -> str:
    """The picture as a `data:` URI, JPEG of quality 80."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
