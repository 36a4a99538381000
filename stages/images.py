# SPDX-License-Identifier: Apache-2.0
"""From stored bytes to a picture, at no more than the size that is needed."""

from io import BytesIO
from typing import Any

from PIL import Image

from stages.ahead import Prepare
from stages.base import Stage


def decoded(data: bytes, at_least: int | None = None) -> Image.Image:
    """The stored JPEG as RGB.

    Args:
        at_least: if given, the JPEG may be decoded smaller (by 2, 4 or 8) as long as no side falls
            below this, which is several times faster for large pictures.
    """
    image = Image.open(BytesIO(data))
    if at_least is not None:
        image.draft("RGB", (at_least, at_least))
    return image.convert("RGB")


def decoding(stage: Stage, at_least: int | None = None) -> Prepare:
    """The stored JPEG of each row, beside the stage's model: Pillow lets other threads work while it decodes.

    Args:
        stage: its `resources` say in how many threads.
        at_least: see `decoded`.
    """

    def work(row: dict[str, Any]) -> Image.Image:
        return decoded(row["image"], at_least)

    return Prepare(work, stage.resources.decoders if stage.resources else 1)


def encoded(image: Image.Image) -> bytes:
    """A drawn picture as JPEG, as near to its pixels as the format gets."""
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=100, subsampling=0)
    return stream.getvalue()
