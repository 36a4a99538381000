# SPDX-License-Identifier: Apache-2.0
"""Damaged files by the thousand: bits flipped, cut, spliced, blocks moved, lengths falsified.

Pictures go to the stage `read`, tars and parquet files to their sources and then to `read`. Each must become
what the documentation says: a picture that decodes, or a row with a known reason. An input is a pure
function of the seed and its number, so that any can be made again: `--only NUMBER`.

COMMAND  python -m benchmarks.faults.fuzz [--inputs 20000] [--seed 1] [--workers 2] [--only NUMBER ...]
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks.faults.fuzz_worker import Finding, Watched, judge


@dataclass
class Result:
    """Counts of a run; `faults` are the inputs that did what they should not."""

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[Finding] = field(default_factory=list)
    peak: int = 0
    """The most memory that a worker ever had, in bytes."""
    seconds: float = 0.0

    def count(self, fault: str) -> int:
        """How many inputs ended in a `crash` or a `hang`, or `unexplained`."""
        return sum(finding.fault == fault for finding in self.faults)

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return not self.faults

    def line(self) -> str:
        """One line of a table."""
        faults = ", ".join(
            f"{self.count(fault)} {name}"
            for fault, name in {"crash": "crashes", "hang": "hangs", "unexplained": "unexplained"}.items()
        )
        spent = f"{self.seconds:.0f} s, at most {self.peak / 2**20:.0f} MiB a worker"
        return f"| fuzzed files (bytes flipped, cut, spliced) | {self.inputs:,} inputs, {faults} ({spent}) |"


def run(inputs: int = 20_000, seed: int = 1, workers: int = 2, first: int = 0) -> Result:
    """Judge the inputs from `first` on."""
    return run_numbers(range(first, first + inputs), seed, workers)


def run_numbers(numbers: Sequence[int], seed: int = 1, workers: int = 2) -> Result:
    """Judge these inputs, in processes of their own."""
    started, result = time.perf_counter(), Result()
    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(
            lambda part: list(_judged(part, seed)), [numbers[k::workers] for k in range(workers)]
        )
        for finding in (finding for part in parts for finding in part):
            result.inputs += 1
            result.outcomes[finding.fault or finding.outcome] += 1
            result.peak = max(result.peak, finding.peak)
            if finding.fault:
                result.faults.append(finding)
    result.seconds = time.perf_counter() - started
    return result


def _judged(numbers: Sequence[int], seed: int) -> Iterator[Finding]:
    worker = Watched(seed)
    try:
        for number in numbers:
            finding = worker.judge(number)
            if finding.fault:
                print(
                    f"{finding.fault}: input {finding.number} of seed {seed}: {finding.outcome}", flush=True
                )
            yield finding
    finally:
        worker.close()


def main() -> None:
    """Print every fault, what the others became, and the table's line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, nargs="+", help="judge these, in this very process")
    arguments = parser.parse_args()
    if arguments.only:
        for number in arguments.only:
            print(judge(arguments.seed, number))
        return
    result = run(arguments.inputs, arguments.seed, arguments.workers)
    for outcome, count in result.outcomes.most_common():
        print(f"{count:7,}  {outcome}")
    print(result.line())


if __name__ == "__main__":
    main()
