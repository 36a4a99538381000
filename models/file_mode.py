# SPDX-License-Identifier: Apache-2.0
"""Files that others on a shared disk can read."""

from pathlib import Path


def as_usual(path: Path) -> None:
    """Give a file the mode that any new one has there; what safetensors writes is its owner's alone."""
    fresh = path.with_name(f".{path.name}.mode")
    fresh.touch()
    try:
        path.chmod(fresh.stat().st_mode)
    finally:
        fresh.unlink()
