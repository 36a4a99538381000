# SPDX-License-Identifier: Apache-2.0
"""Builds whose processes are killed at random moments, and begun again until they are done.

Each dataset is built, extended by what its source has got meanwhile, and has its rejected rows tried again.
All three commands are under fire, and what they leave is compared with what they leave undisturbed.

COMMAND  python -m benchmarks.faults.kills [--kills 200] [--seed 20261121] [--miniature]
"""

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.faults.light import light_config, pictures
from benchmarks.faults.same import data_digests
from benchmarks.quality import CONFIG
from models.miniature.world import write_scenes

TARGETS = (
    *("driver",) * 6,
    *("worker",) * 20,
    *("raylet",) * 2,
    *("driver, SIGTERM",) * 3,
    "agent of the raylet",
)
Step = Callable[[Path], list[str]]
"""A command, by the output that it is for."""
_HANGS = 240.0
"""Seconds after which a process that should have ended is taken for hanging."""


@dataclass(slots=True)
class Result:
    """What the sweep did and found."""

    what: str = "builds without models"
    kills: Counter[str] = field(default_factory=Counter)
    builds: int = 0
    """Datasets that were built, extended and retried under fire."""
    different: int = 0
    hung: int = 0
    unclear: list[str] = field(default_factory=list)
    """Runs that ended by themselves with something else than a clear line."""
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return not (self.different or self.hung or self.unclear)

    def line(self) -> str:
        """The row of a table."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        told = (
            f"{self.kills.total()} kills ({kinds}) over {self.builds} datasets: {self.different} differences"
        )
        ends = f"{self.hung} hung, {len(self.unclear)} without a clear line ({self.seconds:.0f} s)"
        return f"| random kills, {self.what} | {told}, {ends} |"


def run(
    kills: int = 200,
    seed: int = 20261121,
    miniature: bool = False,
    images: int | None = None,
    within: float | None = None,
    commands: int = 3,
) -> Result:
    """Kill until there have been as many kills; every build is begun again until it is done, and compared.

    Args:
        kills: at least so many.
        seed: decides when, and whom.
        miniature: build with the shipped models, not without any.
        images: in the source.
        within: how many seconds of its start a command is first shot at; as long as it takes undisturbed if
            not given.
        commands: only so many of build, extension and retry.
    """
    started, rng = time.monotonic(), random.Random(seed)
    result = Result("builds with the shipped models" if miniature else "builds without models")
    with TemporaryDirectory() as folder:
        steps = _prepared(Path(folder), images or (48 if miniature else 160), miniature)[:commands]
        calm = _undisturbed(steps, Path(folder, "calm"))
        spans = [within] * len(steps) if within else _spans(steps, Path(folder, "first"), calm)
        while result.kills.total() < kills:
            output = Path(folder, f"out{result.builds}")
            for step, span in zip(steps, spans, strict=True):
                while not _is_done(step(output), span, rng, result):
                    pass
            result.builds += 1
            result.different += dataset_digests(output) != calm
            result.seconds = time.monotonic() - started
            print(result.line(), file=sys.stderr, flush=True)
    return result


def _prepared(folder: Path, images: int, miniature: bool) -> list[Step]:
    """The commands by the output that they are for."""
    if miniature:
        write_scenes(folder / "scenes", images, seed=77)
        config, source = CONFIG, folder / "scenes" / "images"
    else:
        config = light_config(folder / "config.yaml", 8, seconds=0.01)
        source = pictures(folder / "in", images)
    for number, picture in enumerate(sorted(source.iterdir())[3::16]):
        picture.write_bytes(picture.read_bytes()[: 40 + 20 * number])
    grown = folder / "grown"
    shutil.copytree(source, grown)
    for picture in sorted(source.iterdir())[: images if miniature else images // 2]:
        shutil.copy(picture, grown / f"later-{picture.name}")
    base = [sys.executable, "-m", "pipeline"]
    options = ["--set", "shard_size=8", "--grace", "2"]

    def build(source: Path, output: Path, *more: str) -> list[str]:
        return [*base, "build", str(config), "--input", str(source), "--output", str(output), *options, *more]

    def retry(output: Path) -> list[str]:
        return [
            *base,
            "retry",
            str(output),
            "--where",
            "status=rejected",
            "--input",
            str(grown),
            "--grace",
            "2",
        ]

    return [
        lambda output: build(source, output),
        lambda output: build(grown, output, "--extend"),
        retry,
    ]


def _undisturbed(steps: list[Step], output: Path) -> dict[str, str]:
    """The bytes that the commands have to give."""
    for step in steps:
        subprocess.run([*step(output), "--executor", "local"], check=True, capture_output=True)
    return dataset_digests(output)


def dataset_digests(dataset: Path) -> dict[str, str]:
    """SHA-256 of all shards' files, and of the index of all their rows."""
    index = (dataset / "_meta" / "index.parquet").read_bytes()
    return {**data_digests(dataset), "index": hashlib.sha256(index).hexdigest()}


def _spans(steps: list[Step], output: Path, calm: dict[str, str]) -> list[float]:
    """How long each command takes on Ray; what they make must be what one process made."""
    spans = [_seconds_of(step(output)) for step in steps]
    if dataset_digests(output) != calm:
        raise RuntimeError("two calm builds differ")
    return spans


def _seconds_of(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def _is_done(command: list[str], span: float, rng: random.Random, result: Result) -> bool:
    """One run under fire; whether it came to its end."""
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    fatal, target = False, ""
    while not fatal and _waited(run, rng.uniform(0, span)):
        target = rng.choice(TARGETS)
        fatal = _shoot(run, target, rng, result)
    try:
        said, _ = run.communicate(timeout=_HANGS)
    except subprocess.TimeoutExpired:
        result.hung += 1
        run.kill()
        said, _ = run.communicate()
    # While Ray starts, SIGTERM is in its hands for a second, and ends the process as it ends any other.
    expected = {0, -signal.SIGKILL} | ({-signal.SIGTERM} if "SIGTERM" in target else set())
    if run.returncode not in expected and not _is_clear(said):
        result.unclear.append(f"exit code {run.returncode}: {said[-2000:]}")
        print(result.unclear[-1], file=sys.stderr, flush=True)
    return run.returncode == 0 and "the same command goes on" not in said


def _waited(run: subprocess.Popen[str], seconds: float) -> bool:
    """Whether the run is still there after a while."""
    with suppress(subprocess.TimeoutExpired):
        run.wait(seconds)
    return run.poll() is None


def _shoot(run: subprocess.Popen[str], target: str, rng: random.Random, result: Result) -> bool:
    """Kill something; whether the run cannot go on."""
    if target.startswith("driver"):
        run.send_signal(signal.SIGTERM if "SIGTERM" in target else signal.SIGKILL)
    else:
        victims = [process for process in _below(run.pid) if _kind(_name(process)) == target]
        if not victims:
            return False
        with suppress(psutil.Error):
            rng.choice(victims).kill()
    result.kills[target] += 1
    return target != "worker"


def _kind(name: str) -> str:
    if name == "raylet":
        return name
    return "agent of the raylet" if name.endswith("Agent") else "worker" if name.startswith("ray::") else ""


def _below(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.Error):
        yield from psutil.Process(pid).children(recursive=True)


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline()[:1]).rpartition("/")[2]
    return ""


def _is_clear(said: str) -> bool:
    """Whether somebody would know what has happened.

    Nothing at all is what a process says that had not begun. Where its raylet dies, Ray may end the driver
    itself, after a message of its own.
    """
    told = any(line.startswith("subjectforge: ") or "(raylet)" in line for line in said.splitlines())
    return not said or (told and "Traceback" not in said)


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--miniature", action="store_true", help="with the shipped models instead of none")
    arguments = parser.parse_args()
    result = run(arguments.kills, arguments.seed, arguments.miniature)
    print(result.line(), *result.unclear, sep="\n")


if __name__ == "__main__":
    main()
