# SPDX-License-Identifier: Apache-2.0
"""The chunks of a PNG against their checksums, which decoders skip for the pixels themselves."""

import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check_chunks(content: bytes) -> Iterator[tuple[int, str]]:
    """The first thing that is wrong with a PNG, if any: at which byte, and what."""
    if not content.startswith(_SIGNATURE):
        yield 0, "the label map is not a PNG"
        return
    position, kind = len(_SIGNATURE), b""
    while position < len(content) and kind != b"IEND":
        length = int.from_bytes(content[position : position + 4])
        body, end = content[position + 4 : position + 8 + length], position + 12 + length
        if zlib.crc32(body) != int.from_bytes(content[end - 4 : end]) or end > len(content):
            yield position, "a chunk of the label map does not match its checksum"
            return
        kind, position = body[:4], end
    if kind != b"IEND" or position != len(content):
        yield position, "the label map ends too early or too late"
