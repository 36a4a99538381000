# SPDX-License-Identifier: Apache-2.0
"""What a step of the trainer costs beside a bare loop on tensors in memory, and how long it waits for data.

On a GPU that is known the share of its peak is told too, of the whole step, counted in a step before.

COMMAND  python -m benchmarks.trainer configs/train/miniature.yaml [--set K=V ...] [--steps 30] [--rounds 5]

Both have the same model, batch and optimiser and take turns. The bare loop has its pictures, references and
noise in memory; both encode them with the frozen models, which is a part of the work and not of the trainer.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.spread import spread
from pipeline.train.config import load_train_config
from pipeline.train.feed import Feed
from pipeline.train.metrics import Clock, Record
from pipeline.train.setup import Prepared, mixed, open_shards, prepare, share_of
from pipeline.train.stepping import Stepping
from pipeline.train.world import World, joined


def main() -> None:
    """Print a line a round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="K=V")
    parser.add_argument("--steps", type=int, default=30, help="of each in a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    config = load_train_config(arguments.config, arguments.set)
    with joined() as world, TemporaryDirectory() as folder:
        prepared = prepare(config, open_shards(config, config.split), world)
        share = share_of(config, world)
        feed = Feed(prepared.samples, prepared.collate, share, 0, config.speed.workers, world.device)
        with closing(feed):
            record = Record(Path(folder), 0)
            halved = mixed(config, world.device)
            stepping = Stepping(prepared, world, feed, share.pieces, halved)
            trainer = _Trainer(stepping, Clock(config.batch, world.device), feed, record)
            bare = _bare(prepared, world, feed, share.pieces, halved)
            rounds = [_round(trainer, bare, arguments.steps, world) for _ in range(arguments.rounds)]
    ratios, waits = ([each[place] for each in rounds] for place in (0, 1))
    wait = statistics.median(waits)
    print(f"median step of a bare one: {spread(ratios, 3)}")
    print(trainer.told())
    print(f"waiting for data {100 * wait:.2f} % ({100 * max(waits):.2f} % at most)")


class _Trainer:
    """Steps as `train` does them, with their record."""

    def __init__(self, stepping: Stepping, clock: Clock, feed: Feed, record: Record) -> None:
        self._stepping, self._clock, self._feed, self._record = stepping, clock, feed, record
        self._done = 0
        self.laps: list[dict[str, Any]] = []

    def __call__(self) -> None:
        self._clock.begin(self._feed.waited)
        values = self._stepping(self._done)
        self._done, self._clock.flops = self._done + 1, self._stepping.flops
        lap = self._clock.lap(self._feed.waited)
        self._record.add(self._done, values | lap)
        self.laps.append(lap)

    def told(self) -> str:
        """Seconds, speed, memory and share of peak of the last round's steps."""
        seconds, speeds = ([lap[name] for lap in self.laps] for name in ("seconds", "images_per_second"))
        shares = [lap["mfu"] for lap in self.laps if lap["mfu"] is not None]
        return (
            f"step of {round(seconds[0] * speeds[0])} pictures {spread(seconds, 3)} s, {spread(speeds, 1)} "
            f"images/s, {self.laps[-1]['peak_memory_gib']:.1f} GiB"
            + (f", {statistics.median(shares):.2f} of peak" if shares else "")
        )


def _bare(prepared: Prepared, world: World, feed: Feed, pieces: int, halved: bool) -> Callable[[], None]:
    """A step on the same tensors every time, of as many pieces."""
    batch, training = next(feed), prepared.training

    def step() -> None:
        for _ in range(pieces):
            noisy = prepared.asking(batch)
            with torch.autocast(world.device.type, torch.bfloat16, enabled=halved):
                losses = training.model(noisy)
            (losses.total / pieces).backward()
        torch.nn.utils.clip_grad_norm_(training.optimising.parameters, 1.0)
        training.optimising.adamw.step()
        training.optimising.adamw.zero_grad(set_to_none=True)

    return step


def _round(trainer: _Trainer, bare: Callable[[], None], steps: int, world: World) -> tuple[float, float]:
    """The ratio of median steps, and the share of waiting."""
    trainer()
    bare()
    trainer.laps.clear()
    times = [[_seconds(step, world) for step in (trainer, bare)] for _ in range(steps)]
    ours, theirs = (statistics.median(each[place] for each in times) for place in (0, 1))
    wait = statistics.mean(lap["data_wait_share"] for lap in trainer.laps)
    print(f"step {ours:.3f} s, bare {theirs:.3f} s, ratio {ours / theirs:.3f}, waiting {100 * wait:.2f} %")
    return ours / theirs, wait


def _seconds(step: Callable[[], None], world: World) -> float:
    began = time.perf_counter()
    step()
    if world.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
