# SPDX-License-Identifier: Apache-2.0
"""From rows of a listing to rows with bytes: what was read, or why it could not be."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from pipeline.sources.location import Location
from stages.columns import ERROR, OK, RAW

FETCHED = pa.schema([field for field in RAW if field.name != "key"])
"""What a fetch returns; whoever knows the shard adds `key`."""

STAGE = "read"
"""What cannot be fetched counts as not read."""

# Requests to an object store take tens of milliseconds each and wait on nothing but the network.
_AT_A_TIME = 16


@dataclass(frozen=True, slots=True)
class Payload:
    """What was read for one item."""

    source_bytes: bytes | None = None
    alt_text: str | None = None
    url: str | None = None
    source_meta: str | None = None
    status: str = OK
    reason: str | None = None
    detail: str | None = None


def unreadable(error: Exception) -> Payload:
    """The payload of an item that could not be read."""
    message = (str(error).strip().splitlines() or [""])[0][:300]
    return Payload(status=ERROR, reason="unreadable", detail=f"{type(error).__name__}: {message}")


def fetch_each(place: Location, items: pa.Table, read: Callable[[dict[str, Any]], Payload]) -> pa.Table:
    """Read every item that the listing calls `ok`, several at a time, in order."""

    def attempt(item: dict[str, Any]) -> Payload:
        if item["status"] != OK:
            return Payload()
        try:
            return read(item)
        except Exception as error:  # filesystems of all makers raise what they like
            return unreadable(error)

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        payloads = list(pool.map(attempt, items.to_pylist()))
    return fetched(place, items, payloads)


def fetched(place: Location, items: pa.Table, payloads: Sequence[Payload]) -> pa.Table:
    """Join rows of a listing with what was read for them, as `FETCHED`."""
    rows = [
        _row(place.uri_of(item["path"]), item, payload)
        for item, payload in zip(items.drop_columns("members").to_pylist(), payloads, strict=True)
    ]
    columns = [pa.array([row[name] for row in rows], FETCHED.field(name).type) for name in FETCHED.names]
    return pa.table(columns, schema=FETCHED)


def _row(uri: str, item: dict[str, Any], payload: Payload) -> dict[str, Any]:
    row = {**asdict(payload), "source_key": item["source_key"], "source_uri": uri}
    row["replaces"] = item["replaces"]
    if item["status"] != OK:
        row |= {name: item[name] for name in ("status", "reason", "detail")}
    return {**row, "stage": STAGE if row["status"] != OK else None}
