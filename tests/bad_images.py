# SPDX-License-Identifier: Apache-2.0
"""A folder with every kind of malformed or odd picture, and what must become of each."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.faults.malformed_files import malformed_files
from benchmarks.faults.pictures import (
    HEIGHT,
    RED,
    WIDTH,
    encoded,
    jpeg,
    jpeg_of,
    jpeg_segments,
    noise,
    png,
    png16,
    png_chunks,
    png_of,
    quadrants,
)

__all__ = ["HEIGHT", "WIDTH", "Case", "encoded", "jpeg", "png16", "quadrants", "write_corpus"]


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
    for case, data in [*_odd(), *_damaged(), *_oriented(), *_named()]:
        path = folder / case.source_key.replace("\\xff", "\udcff")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        cases.append(case)
    (folder / "bad").mkdir()
    for kind in malformed_files():
        kind.put(folder / "bad" / kind.name)
        cases.append(Case(f"bad/{kind.name}", kind.status, kind.reason, None))
    _not_listed(folder)
    return sorted(cases, key=lambda case: case.source_key)


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


def _damaged() -> list[tuple[Case, bytes]]:
    """Files with something missing or wrong that harms no pixel, and a few that the decoders put up with."""
    whole = png_chunks(encoded(quadrants(), "PNG"))
    gif = encoded(noise(), "GIF", save_all=True, append_images=[noise(1)])
    rows = (b"\0" + bytes(WIDTH * 3)) * HEIGHT
    itself = b"Exif\0\0MM\0*" + struct.pack(">IHHHIIHHIII", 8, 2, 0x8769, 4, 1, 8, 0x0112, 3, 1, 1 << 16, 8)
    endless = b"Exif\0\0MM\0*" + struct.pack(">IHHHII", 8, 65535, 0x9286, 7, 0x7FFFFFFF, 8)
    made_anew = {
        "no_end.png": png_of(whole[:-1]),
        "garbage_as_profile.png": png_of([whole[0], (b"iCCP", b"p\0\0garbage"), *whole[1:]]),
        "cut_in_second_frame.gif": gif[: len(gif) * 3 // 4],
        "short_palette.png": png(WIDTH, HEIGHT, 8, 3, (b"\0" + b"\7" * WIDTH) * HEIGHT, (b"PLTE", bytes(7))),
        "half_its_rows.png": png(WIDTH, HEIGHT, 8, 2, rows[: len(rows) // 2]),  # the rest is black
    }
    as_they_are = {
        "forty_long_segments.jpg": jpeg_of([(0xE1, b"x" * 65_000)] * 40 + jpeg_segments(jpeg())),
        "exif_in_itself.jpg": jpeg(exif=itself),
        "endless_exif.jpg": jpeg(exif=endless),
        "filled_up.jpg": jpeg()[:2] + b"\xff" * 50 + jpeg()[2:],
    }
    return [
        *((Case(f"damaged/{name}"), data) for name, data in made_anew.items()),
        *((Case(f"damaged/{name}", reencoded=False), data) for name, data in as_they_are.items()),
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
