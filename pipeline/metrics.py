# SPDX-License-Identifier: Apache-2.0
"""What a run does as numbers for Prometheus, through the cluster's own exporter.

Ray puts `ray_` before every name and `_total` after a counter's, and exports with some seconds' delay; a
counter appears with its first increment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.events import EventName

_STATUSES = {"ok": "samples", "rejected": "rejected", "error": "errors"}


class Metrics:
    """Fed by the driver of a run on Ray, while it is connected."""

    def __init__(self, shards_to_do: int) -> None:
        """Make the metrics; counters are at 0.

        Args:
            shards_to_do: how many shards the run has before it.
        """
        from ray.util.metrics import Counter, Gauge

        stage = ("stage",)
        self._rows = Counter("subjectforge_rows", "Rows of committed shards, by status", ("status",))
        self._shards = Counter("subjectforge_shards", "Shards committed")
        self._instances = Counter("subjectforge_instances", "Subjects with a mask in committed shards")
        self._backoffs = Counter("subjectforge_backoffs", "Batches halved for want of memory", stage)
        self._seconds = Counter(
            "subjectforge_stage_seconds", "Seconds that the stages' workers worked", stage
        )
        self._deaths = Counter("subjectforge_worker_deaths", "Workers that died")
        self._to_do = Gauge("subjectforge_shards_to_do", "Shards that the run has before it")
        self._left = shards_to_do
        self._to_do.set(shards_to_do)

    def committed(self, receipt: Mapping[str, Any]) -> None:
        """Count a shard; `receipt` is a row of `stages.write.RECEIPT`."""
        for status, column in _STATUSES.items():
            _add(self._rows, receipt[column], status=status)
        _add(self._shards, 1)
        _add(self._instances, receipt["instances"])
        self._left = max(self._left - 1, 0)
        self._to_do.set(self._left)

    def happened(self, event: EventName, fields: Mapping[str, Any]) -> None:
        """Count an event of `pipeline.events`, as it is told there.

        Args:
            event: `backoff` and `worker_died` are counted, and the seconds of `shard`.
            fields: the event's. Of `backoff`: `stage`; of `shard`: `seconds`, from stage to seconds.
        """
        if event == "backoff":
            _add(self._backoffs, 1, stage=str(fields.get("stage") or "unknown"))
        elif event == "worker_died":
            _add(self._deaths, 1)
        elif event == "shard":
            for stage, seconds in (fields.get("seconds") or {}).items():
                _add(self._seconds, seconds, stage=stage)


def _add(counter: Any, value: float, **tags: str) -> None:
    # Ray refuses to add nothing.
    if value > 0:
        counter.inc(value, tags)
