# SPDX-License-Identifier: Apache-2.0
"""What the three files of a shard are called, and which shard a key belongs to."""

import re
from dataclasses import dataclass

from stages.shard.place import Place

_KEY = re.compile(r"(\d{5,})-(\d{5,})")


@dataclass(frozen=True, slots=True, order=True)
class ShardFiles:
    """The files of shard `number` in `folder`, there or not."""

    folder: Place
    number: int

    @property
    def stem(self) -> str:
        """What the names of its files begin with."""
        return f"{self.number:05d}"

    @property
    def tar(self) -> Place:
        """The samples."""
        return self.folder / f"{self.stem}.tar"

    @property
    def parquet(self) -> Place:
        """A row for every attempted sample."""
        return self.folder / f"{self.stem}.parquet"

    @property
    def stats(self) -> Place:
        """Counts, and the hashes of the other two: the shard is committed exactly if this is there."""
        return self.folder / f"{self.stem}_stats.json"


def place_of(key: str) -> tuple[int, int]:
    """Shard number, and place in the shard, of the sample `key`.

    Raises:
        ValueError: if it is not the key of a sample.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"{key!r} is not a sample's key, which looks like 00012-00345")
    return int(match[1]), int(match[2])
