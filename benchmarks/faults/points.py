# SPDX-License-Identifier: Apache-2.0
"""Writers that are killed before each of their steps: calls that may change files, requests to a store.

COMMAND  python -m benchmarks.faults.points
"""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.stages.deaths import Deaths, count_deaths


@dataclass(frozen=True, slots=True)
class Result:
    """Both protocols' counts."""

    posix: Deaths
    store: Deaths
    seconds: float

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return not (self.posix.differences or self.store.differences)

    def line(self) -> str:
        """The row of a table."""
        told = ", ".join(
            f"{deaths.points} points {where}, {deaths.differences} differences"
            for where, deaths in (("on disk", self.posix), ("in an object store", self.store))
        )
        return f"| death before every step of writing a shard | {told} ({self.seconds:.0f} s) |"


def run() -> Result:
    """Kill at every step, write again, compare."""
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        posix = count_deaths("posix", Path(folder, "posix"))
        store = count_deaths("store", Path(folder, "store"))
    return Result(posix, store, time.monotonic() - started)


def main() -> None:
    """Print the row."""
    print(run().line())


if __name__ == "__main__":
    main()
