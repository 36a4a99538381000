# SPDX-License-Identifier: Apache-2.0
"""How fast a build was once it ran, from the log beside its dataset."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pipeline.events import read_events


class Steady(NamedTuple):
    """A build of at least two shards."""

    first: float
    """When its first shard was there, seconds since 1970."""
    rate: float
    """Images a second from then on."""


def steady(output: Path) -> Steady:
    """Of a finished dataset."""
    marks = [
        (datetime.fromisoformat(event["time"]).timestamp(), event["rows"])
        for event in read_events(output)
        if event["event"] == "shard"
    ]
    (first, _), *later = marks
    return Steady(first, sum(rows for _, rows in later) / (later[-1][0] - first))
