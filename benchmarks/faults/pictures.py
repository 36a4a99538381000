# SPDX-License-Identifier: Apache-2.0
"""Small pictures as files of every format, and the parts of which such files are made."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 160, 40), (40, 50, 190), (220, 200, 40)

# The seven passes of an interlaced PNG, each with rows of its own: left, top, step across, step down.
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def quadrants(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Four colours: red, green above; blue, yellow below. No two of its eight orientations are alike."""
    pixels_HWC = np.empty((height, width, 3), np.uint8)
    for rows, left, right in ((slice(0, height // 2), RED, GREEN), (slice(height // 2, None), BLUE, YELLOW)):
        pixels_HWC[rows, : width // 2], pixels_HWC[rows, width // 2 :] = left, right
    return Image.fromarray(pixels_HWC)


def noise(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """RGB noise. It does not compress, so that a cut always takes pixels away."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    """A JPEG of good quality, of `quadrants` by default."""
    return encoded(image or quadrants(), "JPEG", **{"quality": 95, "subsampling": 0, **options})


def png(
    width: int, height: int, bits: int, colour_type: int, rows: bytes, *extra: tuple[bytes, bytes]
) -> bytes:
    """A PNG from its parts; `rows` are the samples with a filter byte before each row."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return png_of([(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, each with its right length and checksum."""
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a sound PNG."""
    chunks, place = [], len(PNG_SIGNATURE)
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += size + 12
    return chunks


def png16(values_HWC: np.ndarray[Any, Any]) -> bytes:
    """A PNG with 16 bits a channel, one channel or three."""
    height, width, channels = values_HWC.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values_HWC)
    return png(width, height, 16, {1: 0, 3: 2}[channels], rows)


def png_interlaced(image: Image.Image) -> bytes:
    """An RGB picture as an interlaced PNG, which Pillow cannot write."""
    pixels_HWC, rows = np.asarray(image), bytearray()
    for left, top, across, down in _ADAM7:
        for row in pixels_HWC[top::down, left::across]:
            rows += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")])


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """Marker and content of a sound JPEG's segments; its scan, the last, has all the rest as content."""
    segments, place = [], 2
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        segments.append((data[place + 1], data[place + 4 : end]))
        place = end
    return [*segments, (0xDA, data[place + 4 :])]


def jpeg_of(segments: list[tuple[int, bytes]]) -> bytes:
    """The JPEG of such segments; a scan's own header is taken to be that of three components."""
    parts = [b"\xff\xd8"]
    for marker, content in segments:
        size = 12 if marker == 0xDA else len(content) + 2
        parts.append(struct.pack(">BBH", 0xFF, marker, size) + content)
    return b"".join(parts)


def flipped(data: bytes, place: int) -> bytes:
    """The same with all bits of one byte changed."""
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
