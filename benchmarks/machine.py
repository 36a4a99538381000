# SPDX-License-Identifier: Apache-2.0
"""On what, and with what, a figure was measured: the first line of what is kept of a benchmark's output.

COMMAND  python -m benchmarks.machine
"""

import os
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pipeline.planning.machine import processor

_PACKAGES = ("ray", "torch", "transformers")


def about_here(root: Path) -> dict[str, str]:
    """The processor, the commit (with a `+` if files have changed since) and the packages that matter."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"], cwd=root, capture_output=True, text=True
    )
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return {"processor": processor(), "commit": commit.stdout.strip(), "packages": packages}


if __name__ == "__main__":
    day = datetime.now(UTC).date().isoformat()
    print(", ".join([*about_here(Path(__file__).parents[1]).values(), f"{os.cpu_count()} CPUs", day]))
