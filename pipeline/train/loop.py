# SPDX-License-Identifier: Apache-2.0
"""The training itself: step after step from where the run is to its end, or to when it is told to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.progress import shown
from pipeline.train.checkpoint import restore, save
from pipeline.train.config import TrainConfig
from pipeline.train.feed import Feed
from pipeline.train.metrics import Clock, Record
from pipeline.train.setup import Prepared, mixed, share_of
from pipeline.train.stepping import Stepping
from pipeline.train.world import World

Look = Callable[[int], dict[str, Any]]
"""Looks at the model after a step, and tells numbers for the record."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something to do every so many steps, and at the end."""

    every: int
    """0 for never."""
    look: Look

    def due(self, step: int, end: int) -> bool:
        """Whether it is to be done after this step."""
        return bool(self.every) and (step % self.every == 0 or step == end)


def train(
    config: TrainConfig, run: Path, prepared: Prepared, world: World, events: Sequence[Event] = ()
) -> int:
    """Train from the newest checkpoint on; returns how many steps are done.

    They are fewer than were asked for if the run was told to stop; it has saved a checkpoint then.

    Args:
        config: of the run.
        run: its folder.
        prepared: what is trained.
        world: the processes.
        events: what else is to be done on the way, by all processes.

    Raises:
        UserError: a checkpoint or the data is damaged, or the gradient is no number.
    """
    start = restore(run, prepared.training)
    if start > config.max_steps:
        raise UserError(f"{run} has {start} steps already; give a max_steps of at least so many")
    share = share_of(config, world)
    feed = Feed(prepared.samples, prepared.collate, share, start, config.speed.workers, world.device)
    stepping = Stepping(prepared, world, feed, share.pieces, mixed(config, world.device))
    clock, done, saved = Clock(config.batch, world.device), start, start

    def keep() -> int:
        save(run, done, prepared.training, config.watching.keep_checkpoints, world)
        return done

    with closing(feed), _recording(run, start, config.max_steps, world) as tell:
        while done < config.max_steps and not world.stopping(run):
            clock.begin(feed.waited)
            values = stepping(done)
            done += 1
            clock.flops = stepping.flops
            values |= clock.lap(feed.waited)
            for event in events:
                if event.due(done, config.max_steps):
                    values |= event.look(done)
            tell(done, values)
            if done % config.checkpoint_every == 0:
                saved = keep()
        if saved != done:
            keep()
    return done


def told_of(values: Mapping[str, Any]) -> str:
    """A step's record in a few words."""
    loss = math.nan if values["loss"] is None else values["loss"]
    return f"loss {loss:.4f} · {values['images_per_second']:.1f} images/s"


@contextmanager
def _recording(
    run: Path, start: int, steps: int, world: World
) -> Iterator[Callable[[int, dict[str, Any]], None]]:
    """A function that records a step and shows how far the run is; nothing in all processes but the first."""
    if not world.first:
        yield lambda _step, _values: None
        return
    last: dict[str, Any] = {}
    record = Record(run, start)
    try:
        with shown(steps, about=lambda: told_of(last) if last else "", unit="step") as show:
            show(start, steps)

            def tell(step: int, values: dict[str, Any]) -> None:
                last.update(values)
                record.add(step, values)
                show(step, steps)

            yield tell
    finally:
        record.close()
