# SPDX-License-Identifier: Apache-2.0
"""The parts of a dataset: what one command planned to add, as the listing of its source items.

A part is one file, `_meta/source/NNNNN.parquet`, which appears whole or not at all: shard NNNNN is its first,
every row group is a shard, and what the part is stands in the file's metadata. A build is the first
part; items that the source got later are another, and so is every retry.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.layout import committed_shards, source_folder, split_folders
from pipeline.errors import UserError
from pipeline.sources.base import LISTING
from pipeline.sources.shards import shard_slice, write_row_groups
from stages.shard.commit import rewrite
from stages.shard.place import Place

_ABOUT = b"subjectforge.part"
BUILD, EXTEND, RETRY = "build", "extend", "retry"
_REMEDY = "restore it, or begin anew with --overwrite"


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
        """The listing of one of its shards."""
        with self.listing.open("rb") as stream, pq.ParquetFile(stream) as file:
            return file.read_row_group(shard - self.first)

    def all_rows(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The listings of all its shards in order; the file, whose footer grows with them, is opened once."""
        with self.listing.open("rb") as stream, pq.ParquetFile(stream) as file:
            for group in range(self.shards):
                yield file.read_row_group(group, columns=columns)


def read_part(listing: Place) -> Part:
    """A part by its file's footer.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file.
    """
    with listing.open("rb") as stream, pq.ParquetFile(stream) as file:
        about = json.loads((file.schema_arrow.metadata or {}).get(_ABOUT, b"{}"))
        rows, shards = file.metadata.num_rows, file.metadata.num_row_groups
    if not isinstance(about, dict):
        raise ValueError("it does not say what it is")
    return Part(listing, int(listing.stem), shards, rows, about)


def part_files(root: Place) -> list[Place]:
    """The files of all parts in the order of their shards."""
    folder = source_folder(root)
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.name.endswith(".parquet") and path.stem.isdecimal()
    )


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
        raise UserError(f"a listing in {source_folder(root)} is damaged ({error}); {_REMEDY}") from error
    ends = [0, *(part.numbers.stop for part in parts)]
    if [part.first for part in parts] != ends[:-1] or not parts:
        missing = next((end for part, end in zip(parts, ends, strict=False) if part.first != end), ends[-1])
        raise UserError(f"{source_folder(root)}/{missing:05d}.parquet is missing; {_REMEDY}")
    splits = [folder.name for folder in split_folders(root)]
    last = max((shard.number for split in splits for shard in committed_shards(root, split)[-1:]), default=-1)
    if last >= ends[-1]:
        raise UserError(f"{source_folder(root)} does not list shard {last:05d}; {_REMEDY}")
    return parts


def write_part(root: Place, first: int, listing: pa.Table, shard_size: int, about: Mapping[str, Any]) -> Part:
    """Plan shards from number `first` on: from then on they are missing until they are committed."""
    metadata = {_ABOUT: json.dumps(about, sort_keys=True)}
    path = source_folder(root) / f"{first:05d}.parquet"
    slices = _slices(listing, shard_size)
    rewrite(path, lambda stream: write_row_groups(slices, stream, LISTING.with_metadata(metadata)))
    return read_part(path)


def restated(part: Part, about: Mapping[str, Any]) -> Part:
    """The same part with something else said about it."""
    metadata = {_ABOUT: json.dumps(about, sort_keys=True)}
    rows = part.all_rows()
    rewrite(part.listing, lambda stream: write_row_groups(rows, stream, LISTING.with_metadata(metadata)))
    return read_part(part.listing)


def next_shard(parts: Sequence[Part]) -> int:
    """The number of the first shard that no part holds."""
    return max((part.numbers.stop for part in parts), default=0)


def _slices(listing: pa.Table, shard_size: int) -> Iterator[pa.Table]:
    for shard in range(-(-listing.num_rows // shard_size)):
        yield listing[shard_slice(shard, shard_size)]
