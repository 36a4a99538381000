# SPDX-License-Identifier: Apache-2.0
"""JPEG files that are broken, by the reason that they must be rejected with."""

import struct

from benchmarks.faults.pictures import encoded, jpeg, jpeg_of, jpeg_segments, noise, quadrants

SOF, DHT, DQT, SOS, APP1 = 0xC0, 0xC4, 0xDB, 0xDA, 0xE1
EOI = b"\xff\xd9"


def broken_jpegs() -> dict[str, dict[str, bytes]]:
    """Reason -> name -> file."""
    whole, progressive = encoded(noise(), "JPEG"), encoded(noise(), "JPEG", progressive=True)
    scan = whole.index(b"\xff\xda")
    return {
        "truncated": {
            "cut.jpeg": whole[: len(whole) * 3 // 5],
            "cut_at_the_last_bytes.jpg": whole[:-20],
            "cut_before_its_scan.jpg": whole[: scan + 14],
            "cut_progressive.jpg": progressive[: len(progressive) // 2],
            "cut_in_tables.jpg": whole[: whole.index(b"\xff\xc4") + 30],
            "header_only.jpg": jpeg()[:30],
            "segment_longer_than_the_file.jpg": whole[:2] + b"\xff\xe2\xff\xff" + bytes(500),
        },
        "undecodable": {
            "signature_only.jpg": whole[:3],
            "start_and_end.jpg": whole[:2] + EOI,
            "no_scan.jpg": jpeg_of(jpeg_segments(whole)[:-1]) + EOI,
            "no_frame.jpg": _without(whole, SOF),
            "no_huffman_tables_of_use.jpg": _with(whole, DHT, bytes([0]) + bytes([255]) * 16 + bytes(200)),
            "no_quantisation.jpg": _without(whole, DQT),
            "no_size.jpg": _with(whole, SOF, _frame(0, 0)),
            "no_height.jpg": _with(whole, SOF, _frame(96, 0)),
            "two_components.jpg": _with(whole, SOF, _frame(96, 64)[:5] + b"\2" + _frame(96, 64)[6:12]),
            "nine_components.jpg": _with(whole, SOF, _frame(96, 64)[:5] + b"\x09" + bytes(27)),
            "twelve_bits.jpg": _with(whole, SOF, b"\x0c" + _frame(96, 64)[1:]),
            "sampled_sevenfold.jpg": _with(whole, SOF, _frame(96, 64).replace(b"\1\x22", b"\1\x77")),
            "thumbnail_only.jpg": _thumbnail(),
        },
        "too_many_pixels": {"bomb.jpg": _with(whole, SOF, _frame(65_500, 65_500))},
    }


def _frame(width: int, height: int) -> bytes:
    return struct.pack(">BHHB", 8, height, width, 3) + b"\1\x22\0\2\x11\1\3\x11\1"


def _with(data: bytes, marker: int, content: bytes) -> bytes:
    return jpeg_of([(name, content if name == marker else old) for name, old in jpeg_segments(data)])


def _without(data: bytes, marker: int) -> bytes:
    return jpeg_of([segment for segment in jpeg_segments(data) if segment[0] != marker])


def _thumbnail() -> bytes:
    small = jpeg(quadrants(32, 24))
    entries = struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, 38, 0x0202, 4, 1, len(small), 0)
    exif = b"MM\0*\0\0\0\x08" + entries + small
    return jpeg_of([(APP1, b"Exif\0\0" + exif)]) + EOI
