# SPDX-License-Identifier: Apache-2.0
"""Two builds into one folder: the second is refused while the first lives, and takes over when it is killed.

COMMAND  python -m benchmarks.faults.drivers [--rounds 10]
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.light import light_config, pictures
from benchmarks.faults.same import data_digests

_LIMIT = 120.0
"""Seconds that anything here may take."""


@dataclass(slots=True)
class Result:
    """Of how many rounds."""

    rounds: int
    refused: int = 0
    """The second was refused with one line that names the first."""
    taken: int = 0
    """A third took over at once after the first was killed, and its dataset is what it should be."""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return self.refused == self.taken == self.rounds

    def line(self) -> str:
        """The row of a table."""
        told = f"second refused {self.refused} of {self.rounds}, takeover {self.taken} of {self.rounds}"
        return f"| two drivers | {told} ({self.seconds:.0f} s) |"


def run(rounds: int = 10) -> Result:
    """Start, be refused, kill, take over, compare."""
    started, result = time.monotonic(), Result(rounds)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        config, source = light_config(root / "config.yaml", 8, seconds=0.05), pictures(root / "in", 80)
        command = [sys.executable, "-m", "pipeline", "build", str(config), "--input", str(source)]
        command += ["--executor", "local", "--output"]
        subprocess.run([*command, str(root / "calm")], check=True, capture_output=True)
        for number in range(rounds):
            output = root / f"out{number}"
            first = subprocess.Popen(
                [*command, str(output)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _wait_for_shards(output, number % 4 + 1)
            second = subprocess.run([*command, str(output)], capture_output=True, text=True, timeout=_LIMIT)
            lines = second.stderr.strip().splitlines()
            alone = second.returncode == 2 and len(lines) == 1 and f"process {first.pid}" in lines[0]
            result.refused += alone and first.poll() is None
            first.kill()
            first.wait()
            third = subprocess.run([*command, str(output)], capture_output=True, timeout=_LIMIT)
            result.taken += not third.returncode and data_digests(output) == data_digests(root / "calm")
    result.seconds = time.monotonic() - started
    return result


def _wait_for_shards(output: Path, count: int) -> None:
    deadline = time.monotonic() + _LIMIT
    while len([*output.glob("data/*/*_stats.json")]) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} shards did not come")
        time.sleep(0.02)


def main() -> None:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    print(run(parser.parse_args().rounds).line())


if __name__ == "__main__":
    main()
