# SPDX-License-Identifier: Apache-2.0
"""What every kind of damage needs: a dataset's files, and what a check has to say about them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from pipeline.dataset.layout import committed_shards
from stages.shard.files import ShardFiles
from stages.shard.place import Place

Named = list[tuple[str, ...]]
"""What a check must say: for each entry one problem that holds all of its words."""
Change = Callable[[Path, Random], Named]
MEMBERS = ("jpg", "json", "png", "txt")
META = (
    *("config.yaml", "manifest.json", "source/00000.parquet", "shards.json", "index.parquet"),
    "digests.json",
)
KINDS = ("tar", "parquet", "stats")


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to damage a dataset."""

    kind: str
    """What its row in the table is called."""
    name: str
    change: Change
    deep: bool = False
    """Only `verify --deep` can see it."""


def any_shard(root: Path, rng: Random) -> ShardFiles:
    """One of the dataset's."""
    return rng.choice(committed_shards(root))


def ok_rows(shard: ShardFiles) -> list[dict[str, Any]]:
    """Its samples' keys and places."""
    names = [f"{member}_{what}" for member in MEMBERS for what in ("offset", "size")]
    rows = pq.read_table(shard.parquet, columns=["key", "status", "reencoded", *names]).to_pylist()
    return [row for row in rows if row["status"] == "ok"]


def name_of(shard: ShardFiles) -> str:
    """As problems call it."""
    return f"{shard.folder.name}/{shard.stem}"


def overwrite(path: Place, content: bytes) -> None:
    """A new file in place of an old one."""
    path.unlink()
    local(path).write_bytes(content)


def file_of(shard: ShardFiles, kind: str) -> Path:
    """`tar`, `parquet` or `stats`."""
    return local({"tar": shard.tar, "parquet": shard.parquet, "stats": shard.stats}[kind])


def local(path: Place) -> Path:
    """The same path; here all datasets are on this machine."""
    assert isinstance(path, Path)
    return path
