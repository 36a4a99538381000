# SPDX-License-Identifier: Apache-2.0
"""Whether `verify` names what is damaged, whichever bit, file or fact it is.

A dataset of the miniature is damaged in one way at a time, each on a fresh copy; what the check says must
name the shard or file, and the sample where a fact of one sample is wrong.

COMMAND  python -m benchmarks.faults.corruption [--count 240] [--seed 0]
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks.faults.damage import Damage, Named
from benchmarks.faults.damages import damages
from benchmarks.faults.forgeries import forgeries
from benchmarks.faults.no_models import MINIATURE
from models.miniature.world import write_scenes
from pipeline.build import RunOptions
from pipeline.build_command import build_dataset
from pipeline.config import load_config
from pipeline.dataset.verify import verify
from pipeline.executor import Executor
from pipeline.survey import Request

_BITS = 3
"""How often each kind of bit is flipped for once that any other damage is done."""


@dataclass(slots=True)
class Result:
    """How many damages were done, and how many of them the check named."""

    done: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    by_command: int = 0
    """Of those that were named, how many by the command line as well, with exit code 1."""
    missed: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether the promise was kept every time."""
        return self.done == self.named

    def line(self) -> str:
        """The row of a table."""
        told = f"`verify` names {self.named.total()} of {self.done.total()}"
        command = f"{self.by_command} of them shown to the command line too"
        return f"| corrupted output: {len(self.done)} kinds of damage | {told}; {command} |"


def run(folder: Path, count: int = 240, seed: int = 0, every: int = 20) -> Result:
    """Damage `count` copies of a dataset.

    Args:
        folder: an empty one for the dataset and its copies.
        count: of damages; every way comes before any comes again.
        seed: of the places.
        every: so many damages from one that is shown to the command line to the next.
    """
    base, result = clean_dataset(folder / "clean"), Result()
    if problems := verify(base, deep=True, workers=1).problems:
        raise RuntimeError(f"the undamaged dataset is called damaged: {problems[0]}")
    for number, damage in enumerate(_chosen(count, seed)):
        copy = folder / "copy"
        shutil.copytree(base, copy, copy_function=os.link)
        wanted = damage.change(copy, Random(f"{seed}-{number}"))
        missing = _unnamed(wanted, [str(problem) for problem in verify(copy, damage.deep, 1).problems])
        if number % every == 0 and not missing:
            missing = _unnamed(wanted, _told(copy, damage.deep))
            result.by_command += not missing
        result.done[damage.kind] += 1
        result.named[damage.kind] += not missing
        result.missed += [f"{number}, {damage.kind}, {damage.name}: no word of {words}" for words in missing]
        shutil.rmtree(copy)
    return result


def clean_dataset(folder: Path) -> Path:
    """A dataset of 26 images in 4 shards, with pictures that were re-encoded, rejected and broken."""
    write_scenes(folder, 24, seed=31)
    images = folder / "images"
    for path in sorted(images.iterdir())[::3]:
        with Image.open(path) as image:
            image.save(path.with_suffix(".png"))
        path.unlink()
    Image.new("RGB", (8, 8)).save(images / "tiny.jpg")
    (images / "00007b.jpg").write_bytes(b"no picture")
    request = Request(load_config(MINIATURE, ["shard_size=7"]), str(images), folder / "dataset")
    with redirect_stdout(sys.stderr):
        build_dataset(request, RunOptions(Executor.local))
    return folder / "dataset"


def _chosen(count: int, seed: int) -> list[Damage]:
    """Every way of damage before any of them again, or as many as asked for of all kinds."""
    ways = [*damages(), *forgeries()]
    if count < len(ways):
        by_kind = [
            [way for way in ways if way.kind == kind] for kind in dict.fromkeys(way.kind for way in ways)
        ]
        mixed = [way for turn in zip_longest(*by_kind) for way in turn if way is not None]
        return mixed[:count]
    bits = [way for way in ways if way.kind.startswith("a bit")]
    again = (ways if number % _BITS == 0 else bits for number in range(count))
    return [way for ways in _take(again, count) for way in ways][:count]


def _take(rounds: Iterator[list[Damage]], count: int) -> Iterator[list[Damage]]:
    total = 0
    while total < count:
        total += len(ways := next(rounds))
        yield ways


def _unnamed(wanted: Named, said: list[str]) -> Named:
    return [words for words in wanted if not any(all(word in line for word in words) for line in said)]


def _told(root: Path, deep: bool) -> list[str]:
    command = [sys.executable, "-m", "pipeline", "verify", str(root), *(["--deep"] if deep else [])]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if ended.returncode != 1 or "Traceback" in ended.stderr:
        return []
    return ended.stdout.splitlines()


def main() -> None:
    """Print the counts by kind, what was missed, and the row of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        result = run(Path(folder), arguments.count, arguments.seed)
    for kind, done in result.done.items():
        print(f"{kind:<36} {result.named[kind]:>4} of {done}")
    print("\n".join([*result.missed, result.line()]))
    sys.exit(1 if result.missed else 0)


if __name__ == "__main__":
    main()
