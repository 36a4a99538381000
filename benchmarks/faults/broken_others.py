# SPDX-License-Identifier: Apache-2.0
"""WebP, GIF, BMP and TIFF files that are broken, by the reason that they must be rejected with."""

import struct

from benchmarks.faults.pictures import HEIGHT, WIDTH, encoded, noise


def broken_webps() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    lossy, lossless = encoded(noise(), "WEBP"), encoded(noise(), "WEBP", lossless=True)
    animated = encoded(noise(), "WEBP", save_all=True, append_images=[noise(1)])
    return {
        "truncated": {
            "cut.webp": lossy[: len(lossy) * 3 // 5],
            "cut_lossless.webp": lossless[: len(lossless) // 2],
            "cut_animated.webp": animated[: len(animated) // 3],
            "cut_at_the_last_bytes.webp": lossy[:-3],
            "cut_in_header.webp": lossy[:24],
            "size_too_large.webp": lossy[:4] + struct.pack("<I", len(lossy) * 2) + lossy[8:],
        },
        "undecodable": {
            "size_too_small.webp": lossy[:4] + struct.pack("<I", 60) + lossy[8:],
            "no_chunks.webp": _riff(b""),
            "unknown_chunk.webp": _riff(b"JUNK" + struct.pack("<I", 40) + bytes(40)),
            "no_key_frame.webp": _riff(b"VP8 " + struct.pack("<I", 100) + b"\x01" * 100),
            "damaged_lossless.webp": lossless[:30] + bytes(len(lossless) - 30),
            "no_frames.webp": _riff(b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0\x5f\0\0\x3f\0\0"),
        },
        "not_an_image": {"sound.webp": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24)},
    }


def _riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def broken_gifs() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    whole = encoded(noise(), "GIF")
    screen = whole[:6] + struct.pack("<HHBBB", WIDTH, HEIGHT, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, WIDTH, HEIGHT, 0)
    return {
        "truncated": {
            "cut.gif": whole[: len(whole) * 3 // 5],
        },
        "undecodable": {
            "cut_before_its_data.gif": screen + frame,
            "signature_only.gif": whole[:6],
            "no_frame.gif": screen + b";",
            "cut_in_palette.gif": whole[:100],
            "code_size_255.gif": screen + frame + b"\xff\2\x4c\1\0;",
        },
        "too_many_pixels": {"bomb.gif": whole[:6] + struct.pack("<HH", 65535, 65535) + whole[10:]},
    }


def broken_bmps() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    whole = encoded(noise(), "BMP")
    return {
        "truncated": {
            "cut.bmp": whole[: len(whole) * 3 // 5],
            "cut_at_the_last_bytes.bmp": whole[:-10],
            "cut_in_header.bmp": whole[:30],
            "pixels_outside.bmp": _bmp(WIDTH, HEIGHT, offset=1 << 30) + bytes(WIDTH * HEIGHT * 3),
        },
        "undecodable": {
            "cut_runs.bmp": _bmp(WIDTH, HEIGHT, bits=8, packed=1, colours=256) + bytes(1024) + b"\x60\1" * 9,
            "signature_only.bmp": whole[:2],
            "no_pixels.bmp": _bmp(0, 0),
            "seven_bits.bmp": _bmp(WIDTH, HEIGHT, bits=7) + bytes(20_000),
            "unknown_compression.bmp": _bmp(WIDTH, HEIGHT, packed=77) + bytes(20_000),
            "header_of_nine_bytes.bmp": whole[:14] + struct.pack("<I", 9) + whole[18:],
        },
        "too_many_pixels": {"bomb.bmp": _bmp(60_000, 60_000)},
    }


def _bmp(
    width: int, height: int, bits: int = 24, packed: int = 0, colours: int = 0, offset: int | None = None
) -> bytes:
    start = 54 + 4 * colours if offset is None else offset
    file = b"BM" + struct.pack("<IHHI", 54, 0, 0, start)
    return file + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packed, 0, 0, 0, colours, 0)


def broken_tiffs() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    whole = encoded(noise(), "TIFF")
    lzw, deflate = (encoded(noise(), "TIFF", compression=f"tiff_{name}") for name in ("lzw", "adobe_deflate"))
    sound: dict[int, tuple[int, int]] = {
        256: (4, WIDTH),
        257: (4, HEIGHT),
        258: (3, 8),
        259: (3, 1),
        262: (3, 1),
        273: (4, 200),
        277: (3, 1),
        278: (4, HEIGHT),
        279: (4, WIDTH * HEIGHT),
    }
    pixels = bytes(WIDTH * HEIGHT)
    return {
        "truncated": {
            "pixels_outside.tif": _tiff(sound | {273: (4, 1 << 30)}) + pixels,
            "cut_pixels.tif": _tiff(sound) + pixels[:100],
        },
        "undecodable": {
            "cut.tiff": whole[:100],
            "signature_only.tif": whole[:4],
            "directory_outside.tif": b"II*\0" + struct.pack("<I", 1 << 30) + bytes(100),
            "no_directory.tif": b"II*\0" + bytes(200),
            "directory_of_65535.tif": b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(500),
            "directory_in_itself.tif": b"II*\0" + struct.pack("<IHHHIII", 8, 1, 330, 4, 1, 8, 8),
            "no_size.tif": _tiff(sound | {256: (4, 0)}) + pixels,
            "unknown_compression.tif": _tiff(sound | {259: (3, 60_000)}) + pixels,
            "ninety_nine_channels.tif": _tiff(sound | {277: (3, 99)}) + pixels,
            "seven_bits.tif": _tiff(sound | {258: (3, 7)}) + pixels,
            "cut_lzw.tif": lzw[: len(lzw) // 2],
            "damaged_deflate.tif": deflate.replace(deflate[3000:4000], bytes(1000)),
        },
        "too_many_pixels": {"bomb.tif": _tiff(sound | {256: (4, 1 << 20), 257: (4, 1 << 20)})},
    }


def _tiff(tags: dict[int, tuple[int, int]]) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in tags.items())
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(200, b"\0")
