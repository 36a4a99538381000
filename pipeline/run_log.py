# SPDX-License-Identifier: Apache-2.0
"""What a run tells while it goes on: events for the record, counters for Prometheus, lines for people."""

import json
import sys
import threading
from collections import Counter, defaultdict
from typing import Any, Self

import pyarrow as pa

from pipeline.events import EventName, Events
from pipeline.job import Job
from pipeline.metrics import Metrics
from pipeline.stopping import Stopped
from stages.attempts import WORKER_DIED


class RunLog:
    """One run's log; the `with` block is the run."""

    def __init__(self, job: Job, token: str) -> None:
        """Nothing is written before the block begins."""
        self.shards = 0
        """Committed so far."""
        self.images = 0
        """Rows in them."""
        self.metrics: Metrics | None = None
        """Made by the executor once it is connected, if it is Ray."""
        self._job = job
        self._events = Events(job.root, token)
        # The watchdog tells of deaths from its own thread.
        self._turn = threading.RLock()
        self._deaths: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def __enter__(self) -> Self:
        job, kind = self._job, self._job.parts[-1].kind
        begun = len(job.todo) < job.shards or self._events.began_before
        event: EventName = "retry" if kind == "retry" else "resume" if begun else "start"
        self._tell(event, part=kind, items=job.items, shards=job.shards, to_do=len(job.todo))
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        left = len(self._job.todo) - self.shards
        counts = {"shards": self.shards, "images": self.images, "to_do": left}
        if error is None or isinstance(error, Stopped | KeyboardInterrupt):
            self._tell("stop" if left else "end", **counts)
        else:
            text = (str(error).strip().splitlines() or [""])[0]
            self._tell("error", error=type(error).__name__, message=text, **counts)
        self._events.close()

    def received(self, receipts: pa.Table) -> None:
        """Shards were committed; the table is one of `stages.write.RECEIPT`."""
        for row in receipts.to_pylist():
            self.shards += 1
            self.images += row["rows"]
            self._shard(row)

    def died(self, shard: str, operator: str, deaths: int) -> None:
        """Workers have died over a shard, so many by now at this operator; each death is told once."""
        with self._turn:
            told = self._deaths[shard]
            for death in range(told[operator] + 1, deaths + 1):
                self._tell("worker_died", shard=shard, operator=operator, deaths=death)
            told[operator] = max(told[operator], deaths)

    def stalled(self, line: str, last: bool = False) -> None:
        """Nothing moves; `last` if the run is ended for it."""
        print(f"subjectforge: {line}", file=sys.stderr, flush=True)
        self._tell("stalled_out" if last else "stall", waits=line)

    def warn(self, line: str) -> None:
        """Something that a person should know now."""
        print(f"subjectforge: {line}", file=sys.stderr, flush=True)

    def _shard(self, row: dict[str, Any]) -> None:
        if self.metrics is not None:
            self.metrics.committed(row)
        names = ("rows", "samples", "rejected", "errors", "instances", "deaths", "tar_sha256")
        seconds = json.loads(row["seconds"] or "{}")
        shard = f"{row['shard']:05d}"
        # Those that came and went between two looks of whoever watches.
        self.died(shard, "", row["deaths"] - self._deaths[shard].total())
        self._tell("shard", shard=shard, seconds=seconds, **{name: row[name] for name in names})
        for stage, size in json.loads(row["backoff"] or "{}").items():
            self._tell("backoff", shard=f"{row['shard']:05d}", stage=stage, batch_size=size)
        if row["isolated"]:
            self._tell("row_isolated", shard=f"{row['shard']:05d}", rows=row["isolated"], reason=WORKER_DIED)

    def _tell(self, event: EventName, **fields: Any) -> None:
        self._events.tell(event, **fields)
        if self.metrics is not None:
            self.metrics.happened(event, fields)
