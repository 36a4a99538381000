# SPDX-License-Identifier: Apache-2.0
"""How fast each stage was, and where memory ran out, from the run's log beside the dataset."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.dataset.layout import meta_folder
from stages.parse import parse_json
from stages.shard.place import Place, in_order


@dataclass(frozen=True, slots=True)
class BackOff:
    """That a stage ran out of memory, over the whole dataset."""

    size: int
    """Rows at a time that the most careful of its workers came down to."""
    shards: int
    """Shards in which it happened."""


def images_per_second(root: Place) -> dict[str, float]:
    """For each stage the images that one worker does in a second, over all shards that were timed; images
    that were lost before they came to it do not count."""
    rows: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for timing in read_timings(root):
        for stage, spent in timing["seconds"].items():
            rows[stage] += timing["images"].get(stage, 0)
            seconds[stage] += spent
    return {stage: rows[stage] / spent for stage, spent in seconds.items() if spent > 0}


def backoffs(root: Place) -> dict[str, BackOff]:
    """The stages that ran out of memory, by name; empty if there was enough.

    Logs of earlier versions do not say; they count as if there had been enough.
    """
    found: dict[str, BackOff] = {}
    for timing in read_timings(root):
        for stage, size in timing.get("backoff", {}).items():
            before = found.get(stage, BackOff(size, 0))
            found[stage] = BackOff(min(size, before.size), before.shards + 1)
    return dict(sorted(found.items()))


def read_timings(root: Place) -> Iterator[dict[str, Any]]:
    """What each shard's log holds: `rows`, `images` and `seconds` by stage, and `backoff`.

    No more than a log: one that is damaged is passed over.
    """
    logs = sorted((meta_folder(root) / "timings").glob("[!.]*.json"))
    yield from filter(None, in_order(root, _timing, logs))


def _timing(log: Place) -> dict[str, Any] | None:
    try:
        found = parse_json(log.read_text(encoding="utf-8"))
        tables = [found["images"], found["seconds"], found.get("backoff", {})]
        numbers = [found["rows"], *(value for table in tables for value in table.values())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if all(isinstance(number, int | float) for number in numbers) else None
