# SPDX-License-Identifier: Apache-2.0
"""Whether the Ray that this process started still runs: Ray itself may take minutes to notice."""

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def started_raylets() -> list[int]:
    """Process numbers of the raylets that this process has started; none where there is no `/proc`."""
    found: list[int] = []
    for thread in _PROC.glob("self/task/*/children"):
        with suppress(OSError):
            found += [int(pid) for pid in thread.read_text().split() if _is_raylet(int(pid))]
    return found


def is_running(pid: int) -> bool:
    """Whether a process has not ended; one that its parent has not asked after yet has."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def _is_raylet(pid: int) -> bool:
    try:
        program = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False
    return program.endswith(b"/raylet")
