# SPDX-License-Identifier: Apache-2.0
"""What a check of a dataset finds."""

from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from pipeline.wording import counted


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    shard: str
    """Split and number, `train/00012`; empty if it is not about one shard."""
    what: str
    """What is wrong, in words."""
    key: str = ""
    """The sample, if it is about one."""
    offset: int = -1
    """Where in the shard's tar, in bytes, if it is about a place there."""

    def __str__(self) -> str:
        """One line: where, then what."""
        place = [self.shard, self.key, f"byte {self.offset}" if self.offset >= 0 else ""]
        return ": ".join([", ".join(filter(None, place)), self.what]) if any(place) else self.what


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was checked."""

    shards: int = 0
    rows: int = 0
    samples: int = 0
    rejected: int = 0
    errors: int = 0
    instances: int = 0
    bytes: int = 0
    replaced: int = 0
    """Rows of which a retry has made newer ones; they are among `rows`."""

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What the check of one shard found."""

    shard: str
    """Split and number, `train/00012`."""
    problems: tuple[Problem, ...]
    counts: Counts
    listing: dict[str, Any]
    """Its entry in `_meta/shards.json`; empty if its stats cannot be read."""
    extra: pa.Schema | None = None
    """The columns that stages of other packages added; None if its parquet cannot be read."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What the check of a dataset found."""

    problems: tuple[Problem, ...]
    counts: Counts

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    def line(self) -> str:
        """The counts, and whether all is well, in one line."""
        n = self.counts
        verdict = counted(len(self.problems), "problem") if self.problems else "all of it as it should be"
        found = f"{counted(n.samples, 'sample')} with {counted(n.instances, 'instance')}"
        lost = f"{n.rejected} rejected, {counted(n.errors, 'error')}"
        older = f" ({n.replaced} of them replaced by newer ones)" if n.replaced else ""
        held = f"{counted(n.shards, 'shard')}, {counted(n.rows, 'row')}{older}: {found}, {lost}"
        return f"{held}; {n.bytes / 1e6:.1f} MB, {verdict}"
