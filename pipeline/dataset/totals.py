# SPDX-License-Identifier: Apache-2.0
"""What the shards' stats files add up to."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import UserError
from stages.parse import parse_json
from stages.shard.files import ShardFiles
from stages.shard.place import in_order


@dataclass(slots=True)
class Totals:
    """Of all committed shards together."""

    shards: int = 0
    rows: int = 0
    samples: int = 0
    rejected: int = 0
    errors: int = 0
    instances: int = 0
    bytes: int = 0
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """By stage, how many rows were rejected or failed for which reason."""
    labels: Counter[str] = field(default_factory=Counter)
    """Instances by lemma; of each shard its hundred most frequent."""

    def add(self, stats: dict[str, Any]) -> None:
        """Add one shard's stats."""
        self.shards += 1
        self.rows += stats["count"]
        self.samples += stats["successes"]
        self.rejected += stats["statuses"]["rejected"]
        self.errors += stats["statuses"]["error"]
        self.instances += stats["instances"]
        self.bytes += stats["files"]["tar"]["bytes"] + stats["files"]["parquet"]["bytes"]
        for stage, reasons in stats["reasons"].items():
            self.reasons.setdefault(stage, Counter()).update(reasons)
        self.labels.update(stats["labels"])


def all_stats(shards: Iterable[ShardFiles]) -> Iterator[dict[str, Any]]:
    """The contents of the shards' stats files, in order.

    Raises:
        UserError: if one is unreadable or lacks something.
    """
    shards = [*shards]
    if shards:
        yield from in_order(shards[0].folder, _stats, shards)


def _stats(shard: ShardFiles) -> dict[str, Any]:
    try:
        stats = parse_json(shard.stats.read_bytes())
        Totals().add(stats)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the stats file {shard.stats} is damaged ({error!r}); delete it and build again"
        ) from error
    return stats


def totals(shards: Iterable[ShardFiles]) -> Totals:
    """Add up the shards' stats.

    Raises:
        UserError: if a stats file is unreadable.
    """
    added = Totals()
    for stats in all_stats(shards):
        added.add(stats)
    return added
