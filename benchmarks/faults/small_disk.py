# SPDX-License-Identifier: Apache-2.0
"""A disk of a few pages that can be full, larger, or read-only: a tmpfs, for which one has to be root."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
"""Bytes; files take whole ones."""
ROOMY = 16384
"""Pages."""
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A mounted tmpfs."""

    folder: Path

    def resize(self, pages: int) -> None:
        """Give it room for so many pages."""
        self._remount(f"rw,size={pages * PAGE}")

    def read_only(self) -> None:
        """Refuse writing, as soon as no file is open for it."""
        self._remount("ro")

    def writable(self) -> None:
        """Allow writing again."""
        self._remount("rw")

    def _remount(self, options: str) -> None:
        end = time.monotonic() + _PATIENCE
        while subprocess.run(
            ["mount", "-o", f"remount,{options}", self.folder], capture_output=True
        ).returncode:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.folder} cannot be remounted {options}")
            time.sleep(0.002)


@contextmanager
def small_disk(folder: Path, pages: int = ROOMY) -> Iterator[SmallDisk]:
    """A disk at `folder` until the block ends.

    Raises:
        PermissionError: if nothing can be mounted here.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={pages * PAGE}", "tmpfs", folder]
    if (ended := subprocess.run(command, capture_output=True, text=True)).returncode:
        raise PermissionError(f"no tmpfs can be mounted: {ended.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def can_mount(folder: Path) -> bool:
    """Whether `small_disk` works here; `folder` is made and must not be there."""
    try:
        with small_disk(folder):
            return True
    except (PermissionError, FileNotFoundError):
        return False
