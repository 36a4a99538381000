# SPDX-License-Identifier: Apache-2.0
"""The pictures of samples that never got into a shard, out of the source, where it is on this machine."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.dataset.parts import read_parts
from pipeline.errors import UserError
from pipeline.report.picture import NoPicture
from pipeline.sources import (
    LISTING,
    FolderSource,
    ParquetSource,
    Source,
    WebdatasetSource,
    parquet,
    webdataset,
)
from pipeline.sources.location import Location, locate
from stages.columns import OK
from stages.shard.files import ShardFiles

_MAX_BYTES = 64 * 2**20


class Originals:
    """Reads the encoded pictures that rows were made from."""

    def __init__(self, dataset: Path, image_column: str | None = None) -> None:
        self._dataset = dataset
        self._image_column = image_column
        self._items = lru_cache(maxsize=32)(self._read_items)

    def read(self, shard: ShardFiles, row: dict[str, Any]) -> bytes:
        """The bytes that were judged.

        Args:
            shard: of the row.
            row: with `source_key`, `source_uri` and `sha256` (which may be null).

        Raises:
            NoPicture: not on this machine, not readable, too large, or no longer what it was.
        """
        uri = row["source_uri"]
        if not uri.startswith("file:"):
            raise NoPicture("the source is not on this machine")
        blank = {"source_key": row["source_key"], "path": uri.rpartition("/")[2], "status": OK}
        item = self._items(shard).get(row["source_key"], blank)
        if item["status"] != OK or sum(part["size"] for part in item.get("members") or []) > _MAX_BYTES:
            raise NoPicture("the source cannot be shown")
        content = self._fetch(uri.removesuffix("/" + item["path"]), item)
        if row["sha256"] and sha256(content).hexdigest() != row["sha256"]:
            raise NoPicture("the source is no longer what it was")
        return content

    def _read_items(self, shard: ShardFiles) -> dict[str, dict[str, Any]]:
        try:
            part = next(part for part in read_parts(self._dataset) if shard.number in part.numbers)
            listing = part.rows(shard.number)
        except (pa.ArrowException, OSError, ValueError, StopIteration):
            return {}
        if not set(LISTING.names) <= set(listing.column_names):
            return {}
        return {item["source_key"]: item for item in listing.to_pylist()}

    def _fetch(self, folder: str, item: dict[str, Any]) -> bytes:
        try:
            source = self._source(locate(folder), item["path"].lower())
            fetched = source.fetch(pa.Table.from_pylist([item], LISTING))
        except UserError as error:
            raise NoPicture("the source is not there any more") from error
        content = fetched["source_bytes"][0].as_py()
        if not content:
            raise NoPicture("the source cannot be read")
        return content

    def _source(self, place: Location, path: str) -> Source:
        if path.endswith(webdataset.SUFFIXES):
            return WebdatasetSource(place)
        if path.endswith(parquet.SUFFIXES):
            return ParquetSource(place, self._image_column)
        return FolderSource(place)
