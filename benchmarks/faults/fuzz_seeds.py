# SPDX-License-Identifier: Apache-2.0
"""Sound files of every format that a build takes, small, to be damaged."""

import io
import json
import tarfile
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageCms

from benchmarks.faults.pictures import (
    HEIGHT,
    WIDTH,
    encoded,
    jpeg,
    noise,
    png16,
    png_interlaced,
    quadrants,
)

KINDS = ("picture", "tar", "parquet")


@cache
def seeds() -> dict[str, list[bytes]]:
    """Files by kind, the same in every process."""
    pictures = [*_jpegs(), *_pngs(), *_webps(), *_gifs_and_bmps(), *_tiffs()]
    return {"picture": pictures, "tar": _tars(pictures), "parquet": _parquets(pictures)}


def _jpegs() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:24] + bytes(12) + profile[36:]  # without the time of day
    image = quadrants()
    return [
        jpeg(),
        encoded(noise(2, 40, 24), "JPEG"),
        jpeg(progressive=True, exif=exif),
        jpeg(image.convert("L")),
        jpeg(image.convert("CMYK"), quality=60),
        jpeg(quality=50, subsampling=2, restart_marker_blocks=4, icc_profile=profile),
        encoded(image, "MPO", save_all=True, append_images=[noise(3, 32, 24)]),
    ]


def _pngs() -> list[bytes]:
    image = quadrants()
    faint = image.convert("RGBA")
    faint.putalpha(Image.linear_gradient("L").resize(image.size))
    ramp = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH, 1).round()
    return [
        encoded(noise(4, 32, 24), "PNG"),
        encoded(faint, "PNG"),
        encoded(image.quantize(8), "PNG", transparency=bytes([0, 128, 255])),
        encoded(image.convert("1"), "PNG"),
        png16(ramp),
        png16(np.asarray(image).astype(np.uint32) * 257),
        png_interlaced(noise(8, 40, 24)),
        encoded(image, "PNG", save_all=True, append_images=[noise()]),
    ]


def _webps() -> list[bytes]:
    image = quadrants()
    faint = image.convert("RGBA")
    faint.putalpha(Image.linear_gradient("L").resize(image.size))
    return [
        encoded(image, "WEBP"),
        encoded(faint, "WEBP"),
        encoded(noise(5, 32, 24), "WEBP", lossless=True),
        encoded(image, "WEBP", save_all=True, append_images=[noise()], lossless=True),
    ]


def _gifs_and_bmps() -> list[bytes]:
    image = quadrants()
    return [
        encoded(image, "GIF", transparency=0),
        encoded(image, "GIF", save_all=True, append_images=[noise(), image.rotate(180)], comment=b"x"),
        encoded(image, "GIF", interlace=1),
        encoded(noise(6, 32, 24), "BMP"),
        encoded(image.quantize(16), "BMP"),
        encoded(image.convert("1"), "BMP"),
        encoded(image.convert("RGBA"), "BMP"),
    ]


def _tiffs() -> list[bytes]:
    image = quadrants(48, 32)
    forms = (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    levels = np.linspace(0, 1, 48 * 32, dtype=np.float32).reshape(32, 48)
    return [
        *(encoded(image, "TIFF", compression=form) for form in forms),
        encoded(image.convert("1"), "TIFF", compression="group4"),
        encoded(image.convert("CMYK"), "TIFF", compression="tiff_lzw"),
        encoded(Image.fromarray(levels), "TIFF"),
        encoded(Image.fromarray((levels * 65535).astype(np.uint16)), "TIFF"),
        encoded(image.quantize(8), "TIFF"),
        encoded(image, "TIFF", save_all=True, append_images=[noise(7, 16, 16)], big_tiff=True),
    ]


def _tars(pictures: list[bytes]) -> list[bytes]:
    members = []
    for number in range(4):
        meta = {"url": f"https://example.org/{number}", "caption": f"ü {number}", "tags": [[1.5]]}
        members += [
            (f"{number:05d}.jpg", pictures[number]),
            (f"{number:05d}.json", json.dumps(meta).encode()),
            (f"{number:05d}.txt", f"ein Bild {number} ü".encode()),
        ]
    long = [(f"{'d' * 90}/{'f' * 120}.v{number}.png", pictures[8]) for number in range(2)]
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    return [_tar(members + (long if form != tarfile.USTAR_FORMAT else []), form) for form in forms]


def _tar(members: list[tuple[str, bytes]], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {"comment": "ü"}
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _parquets(pictures: list[bytes]) -> list[bytes]:
    rows = pictures[:12]
    flat = {"image": rows, "text": [f"text {k}" for k in range(12)], "x": [0.5] * 12}
    images = [{"bytes": data, "path": f"{number}.png"} for number, data in enumerate(rows)]
    structs = {"image": images, "tags": [["a"]] * 12}
    days = {"jpg": pa.array(rows, pa.large_binary()), "day": pa.array(range(12), pa.date32())}
    return [
        _parquet(flat, row_group_size=5),
        _parquet(structs, compression="zstd"),
        _parquet(days, compression="none", data_page_version="2.0", use_dictionary=False),
        _parquet(flat, compression="gzip", write_page_checksum=True),
    ]


def _parquet(columns: dict[str, object], **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()
