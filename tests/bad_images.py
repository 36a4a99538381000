# SPDX-License-Identifier: Apache-2.0
"""A folder with every kind of malformed or odd picture, and what must become of each."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 160, 40), (40, 50, 190), (220, 200, 40)


@dataclass(frozen=True)
class Case:
    """What must become of one file. `size` is width, height of the upright picture."""

    source_key: str
    status: str = "ok"
    reason: str | None = None
    size: tuple[int, int] | None = (WIDTH, HEIGHT)
    reencoded: bool = True


OTHER_FILES = 2
"""Files in the corpus that are no pictures by name; two more files and a folder are hidden."""


def write_corpus(folder: Path) -> list[Case]:
    """Write the corpus and say what is expected of each file at the end of the stage `read`."""
    cases = []
    for case, data in [*_odd(), *_oriented(), *_bad(), *_named()]:
        path = folder / case.source_key.replace("\\xff", "\udcff")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        cases.append(case)
    (folder / "nowhere.jpg").symlink_to("does-not-exist.jpg")
    os.mkfifo(folder / "pipe.jpg")
    cases += [Case(name, "error", "unreadable", None) for name in ("nowhere.jpg", "pipe.jpg")]
    _not_listed(folder)
    return sorted(cases, key=lambda case: case.source_key)


def quadrants(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Four colours: red, green above; blue, yellow below. No two of its eight orientations are alike."""
    pixels_HWC = np.empty((height, width, 3), np.uint8)
    for rows, left, right in ((slice(0, height // 2), RED, GREEN), (slice(height // 2, None), BLUE, YELLOW)):
        pixels_HWC[rows, : width // 2], pixels_HWC[rows, width // 2 :] = left, right
    return Image.fromarray(pixels_HWC)


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
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def png16(values_HWC: np.ndarray[Any, Any]) -> bytes:
    """A PNG with 16 bits a channel, one channel or three."""
    height, width, channels = values_HWC.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values_HWC)
    return png(width, height, 16, {1: 0, 3: 2}[channels], rows)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _odd() -> list[tuple[Case, bytes]]:
    """Pictures, each usable, though not all as they are."""
    image, other = quadrants(), quadrants().transpose(Image.Transpose.ROTATE_180)
    ramp = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH, 1).round()
    faint = image.convert("RGBA")
    faint.putalpha(Image.linear_gradient("L").resize(image.size))
    palette = image.quantize(8)
    grey, neutral = image.convert("L"), Image.new("L", image.size, 128)
    as_they_are = {
        "plain.jpg": jpeg(),
        "progressive.jpg": jpeg(progressive=True),
        "trailing_garbage.jpg": jpeg() + b"garbage" * 500,
        "rgb_components.jpg": jpeg(keep_rgb=True),
        "subsampled.jpg": jpeg(subsampling=2, quality=40),
        "damaged_exif.jpg": jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12garbage"),
        "two_pictures.jpg": encoded(image, "MPO", save_all=True, append_images=[other], quality=95),
    }
    made_anew = {
        "grey.jpg": jpeg(grey),
        "cmyk_adobe.jpg": jpeg(image.convert("CMYK")),
        "cmyk_plain.jpg": _without_adobe(jpeg(image.convert("CMYK"))),
        "wrong_name.jpg": encoded(image, "PNG"),
        "grey16.png": png16(ramp),
        "rgb16.png": png16(np.asarray(image).astype(np.uint32) * 257),
        "palette_transparent.png": encoded(palette, "PNG", transparency=bytes([0, 128, 255])),
        "palette_one_transparent.png": encoded(palette, "PNG", transparency=0),
        "rgb_transparent.png": encoded(image, "PNG", transparency=RED),
        "alpha.png": encoded(faint, "PNG"),
        "grey_alpha.png": encoded(faint.convert("LA"), "PNG"),
        "one_bit.png": encoded(image.convert("1"), "PNG"),
        "animated.gif": encoded(image, "GIF", save_all=True, append_images=[other], comment=b"first"),
        "animated.webp": encoded(image, "WEBP", save_all=True, append_images=[other], lossless=True),
        "alpha.webp": encoded(faint, "WEBP", lossless=True),
        "plain.bmp": encoded(image, "BMP"),
        "pages.tif": encoded(image, "TIFF", save_all=True, append_images=[other.resize((8, 8))]),
        "cmyk.tiff": encoded(image.convert("CMYK"), "TIFF"),
        "float.tiff": encoded(Image.fromarray(np.float32(ramp[..., 0] / 65535)), "TIFF"),
        "not_finite.tiff": encoded(Image.fromarray(np.full((HEIGHT, WIDTH), np.nan, np.float32)), "TIFF"),
        "int32.tiff": encoded(Image.fromarray((ramp[..., 0] * 1000 - 5000).astype(np.int32)), "TIFF"),
        "lab.tiff": encoded(Image.merge("LAB", [grey, neutral, neutral]), "TIFF"),
    }
    return [
        *((Case(name, reencoded=False), data) for name, data in as_they_are.items()),
        *((Case(name), data) for name, data in made_anew.items()),
        (Case("one_by_ten_thousand.png", size=(1, 10_000)), encoded(Image.new("RGB", (1, 10_000)), "PNG")),
        (Case("one_pixel.png", size=(1, 1)), encoded(Image.new("RGB", (1, 1)), "PNG")),
    ]


# How a picture has to be stored so that the orientation's own change turns it upright again.
_STORED: dict[int, Callable[[Image.Image], Image.Image]] = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


def _oriented() -> list[tuple[Case, bytes]]:
    cases = []
    for orientation, stored in _STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = stored(quadrants())
        cases.append((Case(f"exif/{orientation}.jpg", reencoded=orientation != 1), jpeg(turned, exif=exif)))
        cases.append((Case(f"exif/{orientation}.png"), encoded(turned, "PNG", exif=exif)))
        cases.append((Case(f"exif/{orientation}.tif"), encoded(turned, "TIFF", exif=exif)))
    exif[0x0112] = 99
    return [*cases, (Case("exif/unknown.jpg", reencoded=False), jpeg(exif=exif))]


def _bad() -> list[tuple[Case, bytes]]:
    """Files that are no usable picture."""
    # Noise does not compress, so that a cut always takes pixels away.
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    whole = {form: encoded(noise, form) for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")}
    bad = {
        "truncated": {
            f"cut.{form.lower()}": data[: len(data) * 3 // 5]
            for form, data in whole.items()
            if form != "TIFF"
        },
        "undecodable": {
            "header_only.jpg": jpeg()[:30],
            "signature_only.png": whole["PNG"][:8],
            "bad_crc.png": _flipped(whole["PNG"], whole["PNG"].index(b"IDAT") + 100),
            "bad_header_crc.png": _flipped(whole["PNG"], 20),
            "cut.tiff": whole["TIFF"][:100],
            "no_pixels.bmp": b"BM"
            + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
        },
        "empty_file": {"empty.jpg": b"", "empty.png": b""},
        "not_an_image": {
            "html.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
            "json.webp": b'{"error": "rate limited"}',
            "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
            "sound.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
            "zeros.png": bytes(1000),
        },
        "too_many_pixels": {
            "bomb.png": png(60_000, 60_000, 8, 2, bytes(1000)),
            "bomb.gif": whole["GIF"][:6] + struct.pack("<HH", 65535, 65535) + whole["GIF"][10:],
        },
        "side_too_long": {"seventy_thousand.png": encoded(Image.new("1", (70_000, 2)), "PNG")},
    }
    return [
        (Case(f"bad/{name}", "rejected", reason, None), data)
        for reason, files in bad.items()
        for name, data in files.items()
    ]


def _named() -> list[tuple[Case, bytes]]:
    """Plain pictures whose names are the difficulty."""
    names = [
        "ünïcode 图片 🐈.jpg",
        "dotted.name.v1.0.jpg",
        "UPPER.JPG",
        "Mixed.JpEg",
        "a/same.jpg",
        "b/same.jpg",
    ]
    names += ["a.b/c d/deep.jpg", "100%25 #1?.jpg", "not_utf8_\\xff.jpg", "back'quote\"[1]{2}*.jpg"]
    return [(Case(name, reencoded=False), jpeg()) for name in names]


def _not_listed(folder: Path) -> None:
    for name in ("notes.txt", "a/Thumbs.db", ".hidden.jpg", ".cache/thumb.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(jpeg())
    (folder / "a" / "loop").symlink_to("..")
    (folder / "folder.jpg").mkdir()


def _without_adobe(data: bytes) -> bytes:
    """Drop the APP14 marker; CMYK values are inverted all the same, as in practice they always are."""
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
