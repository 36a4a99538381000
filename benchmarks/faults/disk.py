# SPDX-License-Identifier: Apache-2.0
"""Builds onto a disk that is full or read-only: what they say, what they leave, and how they go on.

A run must end with one line that says what, where and what to do, and leave whole shards only; once there is
room, the same command must finish, with the bytes of a build that nothing has disturbed.

COMMAND  python -m benchmarks.faults.disk [--executor local] [--executor ray]   (as root: it mounts a tmpfs)
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.faults.no_models import MINIATURE, write_config, write_pictures
from benchmarks.faults.small_disk import PAGE, ROOMY, small_disk
from models.miniature.world import write_scenes
from pipeline.dataset.verify import verify
from pipeline.errors import UserError

_HOME = Path(__file__).parents[2]
_SHARDS = 4
_STATED = ("index.parquet", "shards.json", "source/00000.parquet", "config.yaml")
FULL = "No space left on device"
READ_ONLY = "Read-only file system"
STEPS = (
    *("_meta/manifest.json", "_meta/source/00000.parquet"),
    *("data/train/00000.tar", "data/train/00001.tar", "data/train/00001.parquet"),
    *("data/train/00001_stats.json", "_meta/timings/00001.json", "_meta/timings/00003.json"),
    *("_meta/index.parquet", "_meta/shards.json", "_meta/digests.json", "README.md", "report.html"),
)
"""Files for which there is a page too few."""
MOMENTS = ("from the start", "in the middle", "between two runs")
"""When a disk becomes read-only."""


@dataclass(slots=True)
class Result:
    """How many builds were disturbed, and what was wrong with how they took it."""

    done: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """The line that each of them ended with."""
    wrong: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """Builds with which nothing was wrong."""
        return len(self.done) - len({case.partition(": ")[0] for case in self.wrong})

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return not self.wrong

    def line(self) -> str:
        """The row of a table."""
        told = "one clear line, nothing half visible, finished by the same command with the same bytes"
        return f"| full disk and read-only output | {told}: {self.passed} of {len(self.done)} |"


@dataclass(frozen=True, slots=True)
class Build:
    """A build command, and the dataset that it gives if nothing disturbs it."""

    folder: Path
    config: Path
    pictures: Path
    executor: str
    settings: tuple[str, ...] = ()

    @property
    def reference(self) -> Path:
        """Where the undisturbed dataset is."""
        return self.folder / "reference"

    def __call__(self, output: Path) -> subprocess.CompletedProcess[str]:
        """Run it."""
        options = ("--input", self.pictures, "--output", output, "--executor", self.executor)
        settings = [part for setting in self.settings for part in ("--set", setting)]
        return subprocess.run(
            [sys.executable, "-m", "pipeline", "build", self.config, *options, *settings],
            env={**os.environ, "PYTHONPATH": str(_HOME)},
            cwd=_HOME,
            capture_output=True,
            text=True,
            timeout=400,
        )


def run(folder: Path, executors: Sequence[str] = ("local", "ray"), miniature: bool = True) -> Result:
    """Disturb builds in every way.

    Raises:
        PermissionError: if nothing can be mounted here.
    """
    result = Result()
    for executor in executors:
        steps = STEPS if executor == "local" else STEPS[3::2]
        fill(light(folder / executor, executor), steps, result)
        for moment in MOMENTS:
            close(folder / f"{executor} {moment}", executor, moment, result)
    if miniature:
        write_scenes(folder / "scenes", 24, seed=7)
        build = Build(
            folder / "miniature", MINIATURE, folder / "scenes" / "images", "local", ("shard_size=6",)
        )
        fill(_undisturbed(build), ("data/train/00002.parquet",), result)
    return result


def light(folder: Path, executor: str, disk: str = "") -> Build:
    """A build without models and its undisturbed dataset."""
    folder.mkdir(parents=True)
    write_pictures(folder / "pictures", 5 * _SHARDS)
    config = write_config(folder / "config.yaml", disk, str(folder / "mark") if disk else "")
    build = Build(folder, config, folder / "pictures", executor)
    (folder / "mark").touch()
    _undisturbed(build)
    (folder / "mark").unlink()
    return build


def _undisturbed(build: Build) -> Build:
    """The same build once its dataset is there."""
    ended = replace(build, executor="local")(build.reference)
    if ended.returncode:
        raise RuntimeError(f"the undisturbed build fails: {ended.stderr[-500:]}")
    return build


def fill(build: Build, steps: Sequence[str], result: Result) -> None:
    """Build onto disks that lack one page for a file, then make room."""
    needed = dict(_pages(build.reference))
    for step in steps:
        case = f"{build.executor}, full at {step}"
        # Times make one report a little longer than another.
        lacking = 3 if step == "report.html" else 1
        with small_disk(build.folder / "disk", needed[step] - lacking) as disk:
            output = disk.folder / "out"
            _check_failure(case, FULL, build, build(output), output, result)
            there = len([*output.glob("data/train/*_stats.json")])
            if build.executor == "local" and there != _shards_before(build.reference, step):
                result.wrong.append(f"{case}: failed elsewhere, {there} shards are there")
            disk.resize(ROOMY)
            _check_end(case, build, output, result)
        (build.folder / "disk").rmdir()


def close(folder: Path, executor: str, moment: str, result: Result) -> None:
    """Build onto a disk that is read-only at some moment, then allow writing."""
    place = folder / "disk"
    build = light(folder, executor, str(place) if moment == "in the middle" else "")
    with small_disk(place) as disk:
        output = disk.folder / "out"
        if moment == "between two runs":
            disk.resize(dict(_pages(build.reference))["data/train/00002.tar"] - 1)
            build(output)
            disk.resize(ROOMY)
        if moment != "in the middle":
            disk.read_only()
        case = f"{executor}, read-only {moment}"
        _check_failure(case, READ_ONLY, build, build(output), output, result)
        disk.writable()
        _check_end(case, build, output, result)


def _shards_before(dataset: Path, step: str) -> int:
    """How many shards one process has committed when it comes to a file."""
    names = [name for name, _ in _pages(dataset)]
    return sum(name.endswith("_stats.json") for name in names[: names.index(step)])


def _pages(dataset: Path) -> Iterator[tuple[str, int]]:
    """Each file that one process writes, in its order, and the pages that are taken once it is there."""
    stems = sorted(path.stem for path in dataset.glob("data/train/*.tar"))
    shards = (
        (
            f"data/train/{s}.tar",
            f"data/train/{s}.parquet",
            f"data/train/{s}_stats.json",
            f"_meta/timings/{s}.json",
        )
        for s in stems
    )
    meta = ("index.parquet", "shards.json", "digests.json")
    plan = ["_meta/config.yaml", "_meta/manifest.json", "_meta/source/00000.parquet"]
    work = [name for shard in shards for name in shard]
    end = [*(f"_meta/{name}" for name in meta), "README.md", "report.html"]
    taken = 0
    # Beside these there is a lease, soon a log of events, and a note on the shard in hand.
    for name, beside in [*((n, 1) for n in plan), *((n, 3) for n in work), *((n, 2) for n in end)]:
        taken += -(-(dataset / name).stat().st_size // PAGE)
        yield name, taken + beside


def _check_failure(
    case: str, why: str, build: Build, ended: subprocess.CompletedProcess[str], output: Path, result: Result
) -> None:
    result.done.append(case)
    result.said.append(ended.stderr.strip().replace(str(output), "OUT"))
    said = [line for line in ended.stderr.splitlines() if line.strip() and not line.startswith("shard ")]
    # The log of events says for itself that it is not whole.
    lines = [line for line in said if "events cannot all be written" not in line]
    if ended.returncode != 2 or len(lines) != 1 or "Traceback" in ended.stderr:
        result.wrong.append(
            f"{case}: exit code {ended.returncode}, {len(lines)} lines: {ended.stderr[-800:]}"
        )
    elif not (lines[0].startswith("subjectforge: ") and why in lines[0] and str(output) in lines[0]):
        result.wrong.append(f"{case}: not clear: {lines[0]}")
    result.wrong += [f"{case}: left {what}" for what in _half_visible(build, output)]


def _half_visible(build: Build, output: Path) -> Iterator[str]:
    """What is there besides whole shards, and what a check says besides that something is not there yet."""
    files = [*output.glob("data/train/*")]
    marks = {path.name.removesuffix("_stats.json") for path in files if path.name.endswith("_stats.json")}
    for path in files:
        stem = path.name.removesuffix("_stats.json").partition(".")[0]
        if (
            stem not in marks
            or path.read_bytes() != (build.reference / "data/train" / path.name).read_bytes()
        ):
            yield path.name
    yield from (str(path.name) for path in output.rglob(".*"))
    try:
        problems = verify(output, workers=1).problems
    except UserError:
        return
    told = ("the shard is not there", "is missing")
    yield from (str(problem) for problem in problems if not any(words in problem.what for words in told))


def _check_end(case: str, build: Build, output: Path, result: Result) -> None:
    ended = build(output)
    if ended.returncode:
        result.wrong.append(f"{case}: does not go on: {ended.stderr[-800:]}")
        return
    if _contents(output) != _contents(build.reference):
        result.wrong.append(f"{case}: ends with other bytes")
    result.wrong += [f"{case}: ends with {problem}" for problem in verify(output, workers=1).problems]


def _contents(dataset: Path) -> dict[str, bytes]:
    paths = [*dataset.glob("data/*/*"), *(dataset / "_meta" / name for name in _STATED)]
    return {str(path.relative_to(dataset)): path.read_bytes() for path in paths}


def main() -> None:
    """Print every case, what was wrong, and the row of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=("local", "ray"), action="append")
    parser.add_argument("--no-miniature", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        result = run(Path(folder), arguments.executor or ("local", "ray"), not arguments.no_miniature)
    pairs = zip(result.done, result.said, strict=True)
    print("\n".join([*(f"{case}\n    {said}" for case, said in pairs), *result.wrong, result.line()]))
    sys.exit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
