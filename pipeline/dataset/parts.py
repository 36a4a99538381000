# SPDX-License-Identifier: Apache-2.0
"""The parts of a dataset: what one command planned to add, as the listing of its source items.

A part is one file, `_meta/source/NNNNN.parquet`, which appears whole or not at all: shard NNNNN is its first,
every row group is a shard, and what the part is stands in the file's metadata. A build is the first
part; items that the source got later are another, and so is every retry.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.layout import committed_shards, source_folder, split_folders
from pipeline.errors import UserError
from stages.parse import parse_json
from stages.shard.place import Place, open_parquet

ABOUT = b"subjectforge.part"
"""Where a file's metadata says what the part is."""
BUILD, EXTEND, RETRY = "build", "extend", "retry"
_PART = re.compile(r"([0-9]{5}|[1-9][0-9]{5,})\.parquet")
_REMEDY = "restore it, or begin anew with --overwrite"


class DamagedListing(UserError, ValueError):
    """What shards are to hold cannot be read."""

    def __init__(self, listing: Place, error: Exception) -> None:
        """The file, and what is wrong with it."""
        super().__init__(f"{listing} is damaged ({' '.join(str(error).split())}); {_REMEDY}")


@dataclass(frozen=True, slots=True)
class Part:
    """Shards `first` to `first + shards - 1`, and what is known about them."""

    listing: Place
    """The file with a row for every item that the part's shards are to hold."""
    first: int
    shards: int
    items: int
    about: Mapping[str, Any]
    """`kind`, and for retries `where`; else `source` (a digest), `limit`, `available` and `other_files`."""

    @property
    def kind(self) -> str:
        """`build`, `extend` or `retry`."""
        return str(self.about.get("kind", BUILD))

    @property
    def numbers(self) -> range:
        """Of its shards."""
        return range(self.first, self.first + self.shards)

    def rows(self, shard: int) -> pa.Table:
        """The listing of one of its shards.

        Raises:
            DamagedListing: it cannot be read.
        """
        try:
            status = self.listing.stat()
            file = _opened(self.listing, status.st_size, getattr(status, "st_mtime_ns", 0))
            return file.read_row_group(shard - self.first)
        except (OSError, pa.ArrowException) as error:
            raise DamagedListing(self.listing, error) from error

    def all_rows(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The listings of all its shards in order; the file, whose footer grows with them, is opened once.

        Raises:
            DamagedListing: they cannot be read.
        """
        try:
            with open_parquet(self.listing) as file:
                for group in range(self.shards):
                    yield file.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise DamagedListing(self.listing, error) from error


@lru_cache(maxsize=4)
def _opened(listing: Place, size: int, changed: int) -> pq.ParquetFile:
    """A listing that stays open: its footer, which grows with the number of shards, is read once a process.

    Args:
        listing: the file.
        size: its bytes; with `changed` they tell one file of that name from the next.
        changed: when it was written.
    """
    return open_parquet(listing)


def read_part(listing: Place) -> Part:
    """A part by its file's footer.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file.
    """
    with open_parquet(listing) as file:
        about = parse_json((file.schema_arrow.metadata or {}).get(ABOUT, b"{}"))
        rows, shards = file.metadata.num_rows, file.metadata.num_row_groups
    if not isinstance(about, dict):
        raise ValueError("it does not say what it is")
    return Part(listing, int(listing.stem), shards, rows, about)


def part_files(root: Place) -> list[Place]:
    """The files of all parts in the order of their shards."""
    folder = source_folder(root)
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if _PART.fullmatch(path.name))
    # Names have more digits from shard 100,000 on.
    return sorted(found, key=lambda path: int(path.stem))


def read_parts(root: Place) -> list[Part]:
    """All parts of a dataset; see `read_part`."""
    return [read_part(path) for path in part_files(root)]


def known_parts(root: Place) -> list[Part]:
    """All parts of a dataset whose shards are there.

    Raises:
        UserError: a part is missing or damaged.
    """
    try:
        parts = read_parts(root)
    except (OSError, ValueError, pa.ArrowException) as error:
        why = " ".join(str(error).split())
        raise UserError(f"a listing in {source_folder(root)} is damaged ({why}); {_REMEDY}") from error
    ends = [0, *(part.numbers.stop for part in parts)]
    if [part.first for part in parts] != ends[:-1] or not parts:
        missing = next((end for part, end in zip(parts, ends, strict=False) if part.first != end), ends[-1])
        raise UserError(f"{source_folder(root)}/{missing:05d}.parquet is missing; {_REMEDY}")
    splits = [folder.name for folder in split_folders(root)]
    last = max((shard.number for split in splits for shard in committed_shards(root, split)[-1:]), default=-1)
    if last >= ends[-1]:
        raise UserError(f"{source_folder(root)} does not list shard {last:05d}; {_REMEDY}")
    return parts


def next_shard(parts: Sequence[Part]) -> int:
    """The number of the first shard that no part holds."""
    return max((part.numbers.stop for part in parts), default=0)
