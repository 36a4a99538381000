# SPDX-License-Identifier: Apache-2.0
"""Trouble with what is printed (`subjectforge build ... | head -1`) ends what is said, not the work."""

import os
import sys
from io import TextIOWrapper
from typing import Any, TextIO, cast


class _Undisturbed:
    """A text stream that goes nowhere once it cannot be written to any longer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._turn_away()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._turn_away()

    def _turn_away(self) -> None:
        # The descriptor itself: what is still in the stream's buffer goes there at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def outlive_readers() -> None:
    """From now on nothing that happens to what this process prints is an error: a pipe that is closed at its
    other end, a full disk, a letter that the terminal's encoding lacks, no stream at all."""
    sys.stdout, sys.stderr = _undisturbed(sys.stdout), _undisturbed(sys.stderr)


def _undisturbed(stream: TextIO | None) -> TextIO:
    if stream is None:  # as after `2>&-`
        stream = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return cast(TextIO, _Undisturbed(stream))
