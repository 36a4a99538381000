# SPDX-License-Identifier: Apache-2.0
"""Parquet files with a column of encoded pictures, Hugging Face's `{bytes, path}` structs included."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.sources.base import BROKEN, Item, listing_table, printable
from pipeline.sources.fetch import Payload, fetched, unreadable
from pipeline.sources.files import File, files
from pipeline.sources.location import Location, encoded
from pipeline.sources.parquet_rows import find_column, payloads, row_count
from stages.columns import ERROR, OK

SUFFIXES = (".parquet",)


@dataclass(frozen=True)
class ParquetSource:
    """One sample for each row; its key is the file's path, `/`, and the row's number with nine digits."""

    location: Location
    image_column: str | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """See `Source.suffixes`."""
        return SUFFIXES

    def listing(self) -> pa.Table:
        """See `Source.listing`. A file that is no parquet gives one row `!broken`."""
        found, others = files(self.location, SUFFIXES)
        return listing_table((item for file in found for item in self.rows(file)), others)

    def fetch(self, items: pa.Table) -> pa.Table:
        """See `Source.fetch`. Reads only the row groups that hold wanted rows, and streams them."""
        wanted: dict[str, list[tuple[int, int]]] = {}
        read = [Payload()] * items.num_rows
        for place, item in enumerate(items.select(["path", "row", "status"]).to_pylist()):
            if item["status"] == OK:
                wanted.setdefault(item["path"], []).append((item["row"], place))
        for path, rows in wanted.items():
            found = self._payloads(path, sorted(row for row, _ in rows))
            for row, place in rows:
                read[place] = found.get(row, unreadable(OSError(f"row {row} is gone")))
        return fetched(self.location, items, read)

    def rows(self, file: File) -> Iterator[Item]:
        """The items of one file; reads its footer.

        Raises:
            UserError: it has no column of pictures.
        """
        path, name = encoded(file.path), printable(file.path)
        try:
            if file.problem:
                raise OSError(file.problem)
            with self._open(path) as parquet:
                count, schema = row_count(parquet), parquet.schema_arrow
        except Exception as error:  # filesystems of all makers raise what they like
            yield Item(f"{name}{BROKEN}", path, None, (), ERROR, "broken_parquet", unreadable(error).detail)
            return
        self._column(schema, path)
        for row in range(count):
            yield Item(f"{name}/{row:09d}", path, row)

    @contextmanager
    def _open(self, path: str) -> Iterator[pq.ParquetFile]:
        # Streams the columns: the default would hold those of a whole row group.
        with (
            self.location.open(path) as file,
            pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False) as parquet,
        ):
            yield parquet

    def _column(self, schema: pa.Schema, path: str) -> str:
        column = find_column(schema, self.image_column)
        if column is None:
            wanted = f"column {self.image_column!r}" if self.image_column else "image"
            there = ", ".join(f"{field.name} ({field.type})" for field in schema)[:300]
            where = f"input {self.location.uri_of(path)!r}"
            raise UserError(f"{where}: no {wanted} of bytes among {there}; name one as image_column")
        return column

    def _payloads(self, path: str, rows: list[int]) -> dict[int, Payload]:
        found: dict[int, Payload] = {}
        try:
            with self._open(path) as parquet:
                found.update(payloads(parquet, self._column(parquet.schema_arrow, path), rows))
        except Exception as error:  # a damaged page, a vanished file
            return {row: unreadable(error) for row in rows} | found
        return found
