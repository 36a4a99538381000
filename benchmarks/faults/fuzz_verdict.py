# SPDX-License-Identifier: Apache-2.0
"""What became of a damaged file, and whether it is something that the documentation names."""

import io
from functools import cache
from pathlib import Path

import pyarrow as pa
from PIL import Image

from pipeline.errors import UserError
from pipeline.sources import LISTING, open_source
from pipeline.sources.fetch import FETCHED
from stages.base import TableFunction
from stages.columns import RAW
from stages.read import Read

UNUSABLE = {"empty_file", "not_an_image", "truncated", "undecodable", "too_many_pixels", "side_too_long"}
"""Reasons that `read` rejects with."""

BROKEN = {"unreadable", "broken_tar", "broken_parquet"}
"""Reasons of errors that a source finds."""


class UnexplainedError(Exception):
    """A row or an error that nobody was told to expect."""


def verdict(kind: str, data: bytes, folder: Path) -> str:
    """Give a file to what users' files go to.

    Args:
        kind: one of `benchmarks.faults.fuzz_seeds.KINDS`.
        data: the file.
        folder: empty, for files that a source is to read.

    Returns:
        The row's reason or `ok`; of a tar or a parquet file the worst, as `kind: reason`.

    Raises:
        UnexplainedError: the outcome is none that is documented.
    """
    if kind == "picture":
        row = {"key": "0", "source_key": "0", "source_uri": "", "status": "ok", "source_bytes": data}
        return _outcome(_read()(pa.Table.from_pylist([row], RAW)))
    (folder / f"input.{kind}").write_bytes(data)
    try:
        return f"{kind}: {_sourced(folder)}"
    except UserError as error:
        if "\n" in str(error):
            raise UnexplainedError(f"more than one line: {error}") from error
        return f"{kind}: refused"


def _sourced(folder: Path) -> str:
    source = open_source(str(folder))
    listing = source.listing()
    keys = listing["source_key"].to_pylist()
    if not listing.schema.equals(LISTING) or keys != sorted(set(keys)):
        raise UnexplainedError("the listing is not sorted, or not unique")
    fetched = source.fetch(listing)
    if not fetched.schema.equals(FETCHED) or fetched["source_key"].to_pylist() != keys:
        raise UnexplainedError("the rows fetched are not those listed")
    numbers = pa.array([str(number) for number in range(len(keys))], pa.string())
    table = fetched.add_column(0, RAW.field("key"), numbers).select(RAW.names).cast(RAW)
    return _outcome(_read()(table))


@cache
def _read() -> TableFunction:
    return Read().setup()


def _outcome(table: pa.Table) -> str:
    for row in table.to_pylist():
        _check(row)
    reasons = {row["reason"] for row in table.select(["reason"]).to_pylist()} - {None}
    return "+".join(sorted(reasons)) or "ok"


def _check(row: dict[str, object]) -> None:
    told = (row["status"], row["stage"], row["reason"], row["detail"])
    if row["status"] == "ok":
        _check_picture(row)
        return
    documented = {"rejected": UNUSABLE | {"no_image"}, "error": BROKEN}[str(row["status"])]
    if row["stage"] != "read" or row["reason"] not in documented or not row["detail"] or row["image"]:
        raise UnexplainedError(f"{told}")
    if "MemoryError" in str(row["detail"]) or "malloc" in str(row["detail"]):
        raise UnexplainedError(f"out of memory: {told}")


def _check_picture(row: dict[str, object]) -> None:
    data = row["image"]
    assert isinstance(data, bytes)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        found = (image.format in ("JPEG", "MPO"), image.mode, image.size)
    if found != (True, "RGB", (row["width"], row["height"])):
        raise UnexplainedError(f"the picture is {found}, not {row['width']}x{row['height']}")
    if not row["sha256"] or None in (row["original_width"], row["original_height"], row["reencoded"]):
        raise UnexplainedError("the row lacks its picture's facts")
