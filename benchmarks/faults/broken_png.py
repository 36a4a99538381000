# SPDX-License-Identifier: Apache-2.0
"""PNG files that are broken, by the reason that they must be rejected with."""

import zlib

from PIL import Image

from benchmarks.faults.pictures import (
    HEIGHT,
    PNG_SIGNATURE,
    WIDTH,
    encoded,
    flipped,
    noise,
    png,
    png_chunks,
    png_interlaced,
    png_of,
    quadrants,
)

Chunks = list[tuple[bytes, bytes]]
ROWS = (b"\0" + bytes(WIDTH * 3)) * HEIGHT


def broken_pngs() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    whole = encoded(noise(), "PNG")
    chunks = png_chunks(whole)
    data = b"".join(content for kind, content in chunks if kind == b"IDAT")
    return {
        "truncated": {
            "cut.png": whole[: len(whole) * 3 // 5],
            "cut_before_its_data.png": whole[: whole.index(b"IDAT") + 4],
            "cut_at_the_last_bytes.png": whole[:-60],
            "no_end_of_data.png": _with(chunks, b"IDAT", data[: len(data) // 2]),
            "interlaced_cut.png": png_interlaced(noise())[:-400],
            "cut_in_header.png": whole[:20],
            "chunk_longer_than_the_file.png": PNG_SIGNATURE + b"\x7f\xff\xff\xffIHDR" + bytes(40),
        },
        "undecodable": {
            "signature_only.png": PNG_SIGNATURE,
            "bad_crc.png": flipped(whole, whole.index(b"IDAT") + 100),
            "bad_header_crc.png": flipped(whole, 20),
            "no_header.png": _with(chunks, b"IHDR", None),
            "no_data.png": _with(chunks, b"IDAT", None),
            "data_is_no_zlib.png": _with(chunks, b"IDAT", bytes(range(256)) * 9),
            "damaged_zlib.png": _with(chunks, b"IDAT", flipped(data, len(data) // 2)),
            "no_width.png": png(0, HEIGHT, 8, 2, b""),
            "no_height.png": png(WIDTH, 0, 8, 2, b""),
            "no_palette.png": png(WIDTH, HEIGHT, 8, 3, (b"\0" + bytes(WIDTH)) * HEIGHT),
            "three_bits.png": png(WIDTH, HEIGHT, 3, 0, ROWS),
            "colour_type_five.png": png(WIDTH, HEIGHT, 8, 5, ROWS),
            "filter_nine.png": png(WIDTH, HEIGHT, 8, 2, ROWS.replace(b"\0", b"\x09", 1)),
            **_bombs(),
        },
        "not_an_image": {"text_mode.png": whole.replace(b"\r\n", b"\n")},
        "too_many_pixels": {"bomb.png": png(60_000, 60_000, 8, 2, bytes(1000))},
        "side_too_long": {"seventy_thousand.png": encoded(Image.new("1", (70_000, 2)), "PNG")},
    }


def _bombs() -> dict[str, bytes]:
    # A few kilobytes beside the picture unpack to many megabytes.
    packed = zlib.compress(bytes(64 << 20), 9)
    chunks = png_chunks(encoded(quadrants(), "PNG"))
    return {
        "profile_bomb.png": png_of([chunks[0], (b"iCCP", b"p\0\0" + packed), *chunks[1:]]),
        "text_bomb.png": png_of([chunks[0], (b"zTXt", b"Comment\0\0" + packed), *chunks[1:]]),
        "late_text_bomb.png": png_of([*chunks[:-1], (b"zTXt", b"Comment\0\0" + packed), chunks[-1]]),
    }


def _with(chunks: Chunks, kind: bytes, content: bytes | None) -> bytes:
    others = [(name, content or b"" if name == kind else old) for name, old in chunks]
    return png_of([chunk for chunk in others if content is not None or chunk[0] != kind])
