# SPDX-License-Identifier: Apache-2.0
"""Where pictures come from: folders, webdataset tars, parquet files; here or in an object store."""

from pipeline.errors import UserError
from pipeline.sources import folder, parquet, webdataset
from pipeline.sources.base import LISTING, Source, other_files
from pipeline.sources.files import walk
from pipeline.sources.folder import FolderSource
from pipeline.sources.location import Location, locate
from pipeline.sources.parquet import ParquetSource
from pipeline.sources.webdataset import WebdatasetSource

__all__ = ["LISTING", "Source", "open_source", "other_files"]

# In this order: where there are tars, pictures and tables beside them are about the tars.
_SUFFIXES = {
    "webdataset": webdataset.SUFFIXES,
    "folder": folder.SUFFIXES,
    "parquet": parquet.SUFFIXES,
}


def open_source(location: str, kind: str = "auto", image_column: str | None = None) -> Source:
    """Open a place with pictures.

    Args:
        location: folder, `.tar` or `.parquet` file, or a pattern such as `tars/{00000..00099}.tar` or
            `tars/*.tar`; a local path or any URI that pyarrow knows (`file://`, `s3://`, `gs://`,
            `fsspec+<protocol>://`).
        kind: `folder`, `webdataset` or `parquet`; `auto` takes tars if there are any, else pictures, else
            parquet files.
        image_column: of parquet files, the column with the encoded pictures; by default the first of
            `pipeline.sources.parquet_rows.IMAGE_COLUMNS` that a file has.

    Raises:
        UserError: nothing is there, or nothing of that kind is there. A missing column shows in `listing`.
    """
    if kind not in ("auto", *_SUFFIXES):
        raise UserError(f"input kind {kind!r}: unknown; choose one of auto, {', '.join(_SUFFIXES)}")
    place = locate(location)
    kind = _present(place, kind)
    if kind == "parquet":
        return ParquetSource(place, image_column)
    if image_column is not None:
        raise UserError(
            f"input {place.uri!r}: image_column is for parquet files, this is {kind}; leave it out"
        )
    return WebdatasetSource(place) if kind == "webdataset" else FolderSource(place)


def _present(place: Location, kind: str) -> str:
    found: set[str] = set()
    for files in walk(place):
        names = [file.path.lower() for file in files]
        found |= {each for each, ends in _SUFFIXES.items() if any(name.endswith(ends) for name in names)}
        if kind in found or (kind == "auto" and "webdataset" in found):
            break
    chosen = next((each for each in _SUFFIXES if each in found and kind in (each, "auto")), None)
    if chosen is None:
        raise UserError(f"input {place.uri!r}: {_nothing(kind, found)}")
    return chosen


def _nothing(kind: str, found: set[str]) -> str:
    if found:
        instead = " or ".join(sorted(found))
        return f"no {' or '.join(_SUFFIXES[kind])} file in it; what it holds is of kind {instead}"
    known = " ".join(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
    return f"no pictures, tars or parquet files in it; files must end in one of {known}"
