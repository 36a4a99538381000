# SPDX-License-Identifier: Apache-2.0
"""From stored bytes to a picture, at no more than the size that is needed."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO

from PIL import Image

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


def all_decoded(batch: Iterable[bytes], stage: Stage, at_least: int | None = None) -> list[Image.Image]:
    """The stored JPEGs of a batch, in order; see `decoded`.

    Args:
        batch: JPEGs.
        stage: whose worker this is; its `resources` say in how many threads.
        at_least: see `decoded`.
    """
    threads = stage.resources.decoders if stage.resources else 1
    if threads == 1:
        return [decoded(data, at_least) for data in batch]
    # Pillow lets other threads work while it decodes.
    with ThreadPoolExecutor(threads) as pool:
        return [*pool.map(partial(decoded, at_least=at_least), batch)]


def encoded(image: Image.Image) -> bytes:
    """A drawn picture as JPEG, as near to its pixels as the format gets."""
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=100, subsampling=0)
    return stream.getvalue()
