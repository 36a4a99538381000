# SPDX-License-Identifier: Apache-2.0
"""What every source of pictures offers: a sorted list of what there is, and the bytes of any part of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from pipeline.sources.location import Location
from stages.columns import OK

LISTING = pa.schema(
    [
        pa.field("source_key", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("row", pa.int64()),
        pa.field(
            "members",
            pa.list_(pa.struct([("ext", pa.string()), ("offset", pa.int64()), ("size", pa.int64())])),
        ),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("replaces", pa.string()),
    ]
)
"""One row for every sample a source holds, and one for every part of it that is broken.

`path` is the file to open, percent-encoded, below the source's location: a listing stays true when the
pictures move. `row` is the place in a parquet file, `members` are the byte ranges of a sample in its file
(`ext` in lower case, without its dot). `status` is `ok` unless the listing itself already
found what is wrong (`reason`, `detail`). `replaces` is the key of an earlier shard's row that is to be made
anew; null for what is new.
"""

BROKEN = "/!broken"
"""What the key of a row ends in that stands for the unreadable rest of a file."""

IMAGE_EXTENSIONS = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif")
"""What counts as a picture by name, in any letter case; where a sample has several, the first is taken."""

_OTHER_FILES = b"other_files"


@dataclass(frozen=True, slots=True)
class Member:
    """The bytes `[offset, offset + size)` of a file; `ext` is in lower case, without its dot."""

    ext: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Item:
    """One row of `LISTING`."""

    source_key: str
    path: str
    row: int | None = None
    members: tuple[Member, ...] = ()
    status: str = OK
    reason: str | None = None
    detail: str | None = None
    replaces: str | None = None


class Source(Protocol):
    """Pictures somewhere. Implementations are frozen, picklable and cheap to build: workers get a copy."""

    @property
    def location(self) -> Location:
        """The folder that holds them."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of its files end in, in lower case."""
        ...

    def listing(self) -> pa.Table:
        """List everything, as `LISTING`: unique keys in code-point order.

        Raises:
            pipeline.errors.UserError: the place cannot be listed, or what it holds cannot be used.
        """
        ...

    def fetch(self, items: pa.Table) -> pa.Table:
        """Read rows of `LISTING`; the result has `pipeline.sources.fetch.FETCHED`, row for row.

        What cannot be read becomes a row with the status `error`; nothing is raised for it.
        """
        ...


def listing_table(items: Iterable[Item], other_files: int = 0) -> pa.Table:
    """Sort items by key and make repeated keys unique.

    Args:
        items: in the order in which the source holds them; it decides who keeps a repeated key.
        other_files: how many files were passed over; `other_files` reads it back.
    """
    rows = sorted(_unique(list(items)), key=lambda item: item.source_key)
    columns = [
        pa.chunked_array([pa.array([_plain(getattr(item, field.name)) for item in rows], field.type)])
        for field in LISTING
    ]
    return pa.table(columns, schema=LISTING.with_metadata({_OTHER_FILES: str(other_files)}))


def other_files(listing: pa.Table) -> int:
    """How many files the source passed over because they are nothing it can use."""
    return int((listing.schema.metadata or {}).get(_OTHER_FILES, b"0"))


def printable(path: str) -> str:
    r"""A path as valid Unicode: bytes of a name that are not UTF-8 become `\xNN`."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _unique(items: list[Item]) -> list[Item]:
    taken = Counter(item.source_key for item in items)
    seen: set[str] = set()
    for index, item in enumerate(items):
        key, number = item.source_key, 1
        while key in seen or (number > 1 and key in taken):
            number += 1
            key = f"{item.source_key}~{number}"
        seen.add(key)
        if number > 1:
            items[index] = replace(item, source_key=key)
    return items


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [{"ext": member.ext, "offset": member.offset, "size": member.size} for member in value]
    return value
