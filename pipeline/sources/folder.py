# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures, with all its subfolders."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.sources.base import IMAGE_EXTENSIONS, Item, Member, listing_table, printable
from pipeline.sources.fetch import Payload, fetch_each
from pipeline.sources.files import File, files
from pipeline.sources.location import Location, encoded
from stages.columns import ERROR, OK

SUFFIXES = tuple(f".{extension}" for extension in IMAGE_EXTENSIONS)


@dataclass(frozen=True)
class FolderSource:
    """One sample for each picture file; its key is its path below the location."""

    location: Location

    @property
    def suffixes(self) -> tuple[str, ...]:
        """See `Source.suffixes`."""
        return SUFFIXES

    def listing(self) -> pa.Table:
        """See `Source.listing`."""
        found, others = files(self.location, SUFFIXES)
        return listing_table(map(self._item, found), others)

    def fetch(self, items: pa.Table) -> pa.Table:
        """See `Source.fetch`."""
        return fetch_each(self.location, items, self._read)

    def _item(self, file: File) -> Item:
        member = Member(file.path.rpartition(".")[2].lower(), 0, file.size)
        problem = (ERROR, "unreadable", file.problem) if file.problem else (OK, None, None)
        return Item(printable(file.path), encoded(file.path), None, (member,), *problem)

    def _read(self, item: dict[str, Any]) -> Payload:
        with self.location.open(item["path"]) as file:
            return Payload(file.read())
