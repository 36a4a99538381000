# SPDX-License-Identifier: Apache-2.0
"""A reader that goes away (`subjectforge build ... | head -1`) ends what is said, not the work."""

import os
import sys
from typing import Any, TextIO, cast


class _Undisturbed:
    """A text stream that goes nowhere once nobody reads it any longer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._turn_away()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._turn_away()

    def _turn_away(self) -> None:
        # The descriptor itself: what is still in the stream's buffer goes there at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def outlive_readers() -> None:
    """From now on, a pipe that is closed at its other end is no error for what this process prints."""
    sys.stdout = cast(TextIO, _Undisturbed(sys.stdout))
    sys.stderr = cast(TextIO, _Undisturbed(sys.stderr))
