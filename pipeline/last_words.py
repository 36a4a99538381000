# SPDX-License-Identifier: Apache-2.0
"""A line for people where compiled code may end the process at once, with nobody left to explain it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_WAITS = 'read -r said || echo "subjectforge: $0" >&2'


@contextmanager
def last_words(line: str) -> Iterator[None]:
    """While the block runs, the end of this process makes another one write `line` to stderr.

    An exception is no such end. Without a shell nothing is written.
    """
    try:
        watcher = subprocess.Popen(["sh", "-c", _WAITS, line], stdin=subprocess.PIPE)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            watcher.communicate(b"all is well\n")
