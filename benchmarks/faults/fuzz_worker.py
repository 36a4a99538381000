# SPDX-License-Identifier: Apache-2.0
"""A process that judges damaged files one after another, and whoever watches it."""

import multiprocessing as mp
import os
import resource
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.fuzz_verdict import UnexplainedError, verdict
from benchmarks.faults.mutations import mutated

MEMORY = 6 << 30
"""Address space of a worker, in bytes: the largest pictures that `read` takes need 4 GiB."""


@dataclass(frozen=True)
class Finding:
    """What became of one input. `fault` is None, `crash`, `hang` or `unexplained`."""

    number: int
    outcome: str
    fault: str | None = None
    peak: int = 0
    """The most memory that its worker ever had, in bytes."""


class Watched:
    """A worker process, started again whenever an input took it down. `seconds` are allowed per input."""

    def __init__(self, seed: int, seconds: float = 20.0) -> None:
        self.seed, self.seconds = seed, seconds
        self._start()

    def judge(self, number: int) -> Finding:
        """Give the worker one input and wait for what becomes of it."""
        try:
            self._pipe.send(number)
            if not self._pipe.poll(self.seconds):
                return self._dead(number, "hang", f"more than {self.seconds:.0f} s")
            return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return self._dead(number, "crash", f"exit code {self._process.exitcode}")

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.join()

    def _dead(self, number: int, fault: str, what: str) -> Finding:
        self.close()
        self._start()
        return Finding(number, what, fault)

    def _start(self) -> None:
        context = mp.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.seed), daemon=True)
        self._process.start()
        theirs.close()
        # Importing takes seconds that no input is to be blamed for.
        self._pipe.recv()


def judge(seed: int, number: int) -> Finding:
    """Judge one input in this process."""
    kind, data = mutated(seed, number)
    with TemporaryDirectory() as folder:
        try:
            outcome, fault = verdict(kind, data, Path(folder)), None
        except UnexplainedError as error:
            outcome, fault = f"{kind}: {error}", "unexplained"
        except Exception as error:
            outcome, fault = f"{kind}: {type(error).__name__}: {error}"[:500], "unexplained"
    return Finding(number, outcome, fault, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)


def _serve(pipe: Connection, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff speaks to stderr of each damaged file
    mutated(seed, 0)
    pipe.send("ready")
    while True:
        pipe.send(judge(seed, pipe.recv()))
