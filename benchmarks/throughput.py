# SPDX-License-Identifier: Apache-2.0
"""How much of its slowest stage's speed the whole build keeps.

The whole build runs on Ray; then its slowest stage runs alone in a bare loop over every second shard of the
same images, in as many processes as the build gives it, one thread each. They take turns, and a build is set
beside the loops before and after it. Both rates are steady ones: loading of models is left out, and of the
build the time until its first shard. Alone, a stage has the caches and, on virtual machines, the core to
itself; the slowest pool's rate is by the times that its stages take in the build.

COMMAND  python -m benchmarks.throughput [--images 1200] [--shard-size 100] [--repeat 3]
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import pyarrow as pa

from benchmarks.quality import CONFIG
from benchmarks.spread import spread
from benchmarks.steady import pool_rate, steady
from models.miniature.world import write_scenes
from pipeline.build import RunOptions, execute
from pipeline.config import BuildConfig, load_config
from pipeline.dataset.timings import images_per_second
from pipeline.job import Job
from pipeline.lease import Lease
from pipeline.operators import NO_NOTES, Operator, Worker
from pipeline.survey import Request, begin, survey
from stages.base import Resources, Stage


@dataclass(frozen=True, slots=True)
class Rates:
    """Images a second."""

    build: float
    alone: float
    with_start: float
    pool: float
    """By the speeds that its slowest pool's stages have in the build, while the other cores are busy too."""


def main() -> None:
    """Print the rates of every repetition, and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1200)
    parser.add_argument("--shard-size", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    config = load_config(CONFIG, [f"shard_size={arguments.shard_size}"])
    with TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        write_scenes(scenes, arguments.images, seed=20261121)
        runs = [
            _measure(config, str(scenes / "images"), Path(folder, f"run{k}")) for k in range(arguments.repeat)
        ]
    around = [mean(rates.alone for rates in runs[max(0, k - 1) : k + 1]) for k in range(len(runs))]
    ratios = [rates.build / alone for rates, alone in zip(runs, around, strict=True)]
    for rates, ratio in zip(runs, ratios, strict=True):
        print(
            f"build {rates.build:.1f} images/s ({rates.with_start:.1f} with start-up), "
            f"slowest stage alone {rates.alone:.1f} images/s, ratio {ratio:.2f}; "
            f"slowest pool {rates.pool:.1f} images/s, kept {rates.build / rates.pool:.2f} of it"
        )
    kept = [rates.build / rates.pool for rates in runs]
    print(f"of the slowest stage alone {spread(ratios)}")
    print(f"of the slowest pool {spread(kept)}")


def _measure(config: BuildConfig, images: str, output: Path) -> Rates:
    with Lease.take(output) as lease:
        job = begin(survey(Request(config, images, output)))
        whole = execute(job, RunOptions(), lease)
    speeds = images_per_second(output)
    slowest = min(speeds, key=lambda stage: speeds[stage])
    print("one worker's images/s in the build: " + ", ".join(f"{k} {v:.0f}" for k, v in speeds.items()))
    return Rates(
        build=steady(output).rate,
        alone=_bare_loop(job, slowest),
        with_start=whole.images / whole.seconds,
        pool=pool_rate(job.chain(""), output),
    )


def _bare_loop(job: Job, slowest: str) -> float:
    """Images a second of one stage alone, on tables that hold what comes before it."""
    chain = job.chain("")
    operator = next(o for o in chain if slowest in dict(o.stages))
    before = [pair for o in chain for pair in o.stages]
    names = [name for name, _ in before]
    stage = before[names.index(slowest)]
    tables = list(_tables_before(job, before[: names.index(slowest)]))
    workers = operator.resources.workers
    print(f"slowest: {slowest}, {workers} process{'es' if workers > 1 else ''}")
    with ProcessPoolExecutor(workers) as pool:
        parts = [(stage, tables[start::workers]) for start in range(workers)]
        spans = list(pool.map(_timed, parts))
    return sum(table.num_rows for table in tables) / (max(e for _, e in spans) - min(s for s, _ in spans))


def _tables_before(job: Job, stages: list[tuple[str, Stage]]) -> Iterator[pa.Table]:
    worker = Worker(Operator(tuple(stages), Resources()))
    for shard in range(0, job.shards, 2):
        yield worker(job.read(shard, NO_NOTES.about(shard, "")))


def _timed(part: tuple[tuple[str, Stage], list[pa.Table]]) -> tuple[float, float]:
    stage, tables = part
    worker = Worker(Operator((stage,), Resources()))
    worker(tables[0])
    started = time.perf_counter()
    for table in tables:
        worker(table)
    return started, time.perf_counter()


if __name__ == "__main__":
    main()
