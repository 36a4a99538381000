# SPDX-License-Identifier: Apache-2.0
"""How fast a build was once it ran, from the logs beside its dataset."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pipeline.dataset.timings import images_per_second
from pipeline.events import read_events
from pipeline.operators import Operator


class Steady(NamedTuple):
    """A build of at least two shards."""

    first: float
    """When its first shard was there, seconds since 1970."""
    rate: float
    """Images a second from then on."""


def steady(output: Path) -> Steady:
    """Of a finished dataset.

    Raises:
        SystemExit: it has less than two shards.
    """
    marks = [
        (datetime.fromisoformat(event["time"]).timestamp(), event["rows"])
        for event in read_events(output)
        if event["event"] == "shard"
    ]
    if len(marks) < 2:
        raise SystemExit(
            f"{output} has {len(marks)} shards, and speed is told from the second on; build more"
        )
    (first, _), *later = marks
    return Steady(first, sum(rows for _, rows in later) / (later[-1][0] - first))


def pool_rate(chain: Sequence[Operator], output: Path) -> float:
    """Images a second that the slowest pool could do by what its stages took in the build, where other cores
    are busy too: on a machine that is slower for a while both are."""
    speeds = images_per_second(output)
    seconds = [
        sum(1 / speeds[name] for name, _ in operator.stages if name in speeds) / operator.resources.workers
        for operator in chain
    ]
    return 1 / max(seconds)
