# SPDX-License-Identifier: Apache-2.0
"""Every kind of malformed picture file, and what must become of each."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.broken_jpeg import broken_jpegs
from benchmarks.faults.broken_others import broken_bmps, broken_gifs, broken_tiffs, broken_webps
from benchmarks.faults.broken_png import broken_pngs
from benchmarks.faults.no_pictures import no_pictures

_GROUPS = (broken_jpegs, broken_pngs, broken_webps, broken_gifs, broken_bmps, broken_tiffs, no_pictures)


@dataclass(frozen=True)
class Malformed:
    """One kind: how its file is named, and the row that it must give."""

    name: str
    status: str
    reason: str
    put: Callable[[Path], object]
    """Makes the file at a path."""


def malformed_files() -> list[Malformed]:
    """All kinds; no name occurs twice."""
    return [
        Malformed(name, "rejected", reason, _writer(data))
        for group in _GROUPS
        for reason, files in group().items()
        for name, data in files.items()
    ] + [
        Malformed("nowhere.jpg", "error", "unreadable", lambda path: path.symlink_to("does-not-exist.jpg")),
        Malformed("ring.jpg", "error", "unreadable", lambda path: path.symlink_to(path.name)),
        Malformed("pipe.jpg", "error", "unreadable", os.mkfifo),
    ]


def _writer(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)
