# SPDX-License-Identifier: Apache-2.0
"""The first stage: files of unknown making become upright RGB JPEGs, each decoded in full once."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
from PIL import Image

from stages.base import Stage, TableFunction
from stages.columns import IMAGE
from stages.decode import PIXELS, BadImageError, decode, opened, prepare, upright
from stages.rgb import to_rgb
from stages.rows import Outcome, Reject, Row, table_function

_LONGEST = 65_500  # a JPEG's sides, by libjpeg


@dataclass(frozen=True, kw_only=True)
class Read(Stage):
    """Decode, turn upright, convert to RGB; keep the file's own bytes where they are such a JPEG already.

    Rejects with `empty_file`, `not_an_image`, `truncated`, `undecodable`, `too_many_pixels` and
    `side_too_long` (a picture that no JPEG can hold).
    """

    inputs: ClassVar[tuple[str, ...]] = ("source_bytes",)
    outputs: ClassVar[pa.Schema] = IMAGE
    drops: ClassVar[tuple[str, ...]] = ("source_bytes",)
    version: ClassVar[int] = 2

    max_pixels: int = PIXELS
    """Reject larger pictures by their header, before they are decoded; 178956970 at most."""
    short_side: int | None = None
    """Scale down, never up, until the shorter side has this many pixels; none keeps the size."""
    quality: int = 95
    """JPEG quality of what has to be encoded anew, 1 to 100; colour is never subsampled."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_pixels <= PIXELS:
            raise ValueError(f"max_pixels is {self.max_pixels}; it must be from 1 to {PIXELS}")
        if self.short_side is not None and self.short_side < 1:
            raise ValueError(f"short_side is {self.short_side}; it must be at least 1, or null")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality is {self.quality}; it must be from 1 to 100")

    def setup(self) -> TableFunction:
        """See `Stage.setup`."""
        prepare()
        return table_function(self, "read", self._rows)

    def _rows(self, rows: list[Row]) -> Sequence[Outcome]:
        return [self._row(row["source_bytes"]) for row in rows]

    def _row(self, data: bytes) -> Outcome:
        known: Row = {"sha256": hashlib.sha256(data).hexdigest()}
        try:
            with opened(data) as image:
                known |= {"original_width": image.width, "original_height": image.height}
                if image.width * image.height > self.max_pixels:
                    detail = f"{image.width}x{image.height} is more than {self.max_pixels} pixels"
                    raise BadImageError("too_many_pixels", detail)
                return {**known, **self._image(image, data)}
        except BadImageError as bad:
            return Reject(bad.reason, bad.detail, known)

    def _image(self, image: Image.Image, data: bytes) -> Row:
        header = image.size
        # A JPEG can be decoded at a half, a quarter or an eighth, which is several times faster.
        image.draft(None, _roomy(self._size(header)))
        whole = image.size == header
        orientation = decode(image)
        picture = upright(to_rgb(image), orientation)
        original = picture.size if whole else (header[1], header[0]) if orientation > 4 else header
        size = self._size(original)
        if max(size) > _LONGEST:
            detail = f"{size[0]}x{size[1]}; a JPEG's sides end at {_LONGEST} pixels"
            raise BadImageError("side_too_long", detail)
        jpeg = image.format in ("JPEG", "MPO") and image.mode == "RGB"
        keep = jpeg and orientation == 1 and size == original
        return {
            "image": data if keep else self._encoded(_resized(picture, size), image.info.get("icc_profile")),
            "reencoded": not keep,
            **dict(zip(("width", "height"), size, strict=True)),
            **dict(zip(("original_width", "original_height"), original, strict=True)),
        }

    def _size(self, size: tuple[int, int]) -> tuple[int, int]:
        shorter = min(size)
        if self.short_side is None or shorter <= self.short_side:
            return size
        width, height = (max(1, round(side * self.short_side / shorter)) for side in size)
        return width, height

    def _encoded(self, picture: Image.Image, profile: bytes | None) -> bytes:
        # Only a profile of RGB colours still fits the pixels; those of CMYK or grey were left behind.
        fits = profile is not None and profile[16:20] == b"RGB "
        buffer = io.BytesIO()
        picture.save(
            buffer,
            "JPEG",
            quality=self.quality,
            subsampling=0,
            icc_profile=profile if fits else None,
            comment=b"",
        )
        return buffer.getvalue()


def _roomy(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] * 3 // 2, size[1] * 3 // 2


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if size == picture.size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
