# SPDX-License-Identifier: Apache-2.0
"""A shard taken apart and put together again with new hashes, by the writer's own parts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults.damage import MEMBERS, local
from stages.shard.files import ShardFiles
from stages.shard.record import record_of
from stages.shard.stats import shard_stats, stats_text
from stages.shard.tar import TarStream

Row = dict[str, Any]


@dataclass(slots=True)
class Forged:
    """A shard taken apart."""

    rows: list[Row]
    members: dict[str, dict[str, bytes]]
    """By key, then by extension; written in this order."""
    sample: Row
    """The row that is to lie: an `ok` one that has entities."""
    late: Callable[[], object] = lambda: None
    """Runs once the places in the tar are known, before the parquet is written."""

    def retell(self) -> None:
        """Make the sample's json say what its row says."""
        extra = json.loads(self.members[self.sample["key"]]["json"])["extra"]
        text = json.dumps(record_of(self.sample, extra), ensure_ascii=False, separators=(",", ":"))
        self.members[self.sample["key"]]["json"] = text.encode()

    @property
    def entity(self) -> Row:
        """The sample's best."""
        return self.sample["entities"][0]


def taken_apart(shard: ShardFiles, rng: Random, reencoded: bool | None) -> Forged:
    """A shard with one of its samples: with a picture that was encoded anew, one that was kept, or any."""
    rows, content = pq.read_table(shard.parquet).to_pylist(), shard.tar.read_bytes()
    members = {
        row["key"]: {e: content[row[f"{e}_offset"] :][: row[f"{e}_size"]] for e in MEMBERS}
        for row in rows
        if row["status"] == "ok"
    }
    fit = [row for row in rows if row["status"] == "ok" and row["entities"]]
    return Forged(rows, members, rng.choice([row for row in fit if reencoded in (None, row["reencoded"])]))


def put_together(shard: ShardFiles, forged: Forged) -> None:
    """Write it over the old one; what it says of itself agrees."""
    schema, places = pq.read_schema(shard.parquet), {row["key"]: row for row in forged.rows}
    for path in (shard.tar, shard.parquet, shard.stats):
        path.unlink()
    with local(shard.tar).open("x+b") as tar, local(shard.parquet).open("x+b") as parquet:
        stream = TarStream(tar)
        for key, members in forged.members.items():
            for extension, content in members.items():
                start, row = stream.add(f"{key}.{extension}", content), places.get(key, {})
                row |= {f"{extension}_offset": start, f"{extension}_size": len(content)}
        stream.close()
        forged.late()
        table = pa.Table.from_pylist(forged.rows, schema)
        pq.write_table(table, parquet, compression="zstd", row_group_size=max(len(forged.rows), 1))
        tar.flush()
        parquet.flush()
        local(shard.stats).write_text(
            stats_text(shard_stats(shard.number, table, {"tar": tar, "parquet": parquet}))
        )
