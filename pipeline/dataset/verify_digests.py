# SPDX-License-Identifier: Apache-2.0
"""The files of `_meta` against the digests of a finished build, and the listing against the manifest's."""

import hashlib
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.layout import DIGESTED, digests_path, meta_folder
from pipeline.dataset.problem import Problem

_REBUILT = ("source.parquet", "shards.json", "index.parquet")
_FACTS = ("source_key", "row", "status", "reason", "members")
_PIECE = 1 << 16
"""Rows that the listing's digest takes at a time."""


def check_digests(root: Path) -> tuple[set[str], list[Problem]]:
    """Which files of `_meta` are not what the build wrote, and all that is wrong with it.

    A file that is missing is left to whoever needs it.
    """
    try:
        stated, problems = _read_digests(digests_path(root)), []
    except FileNotFoundError:
        stated, problems = {}, [Problem("", "_meta/digests.json is missing; the same build again writes it")]
    except (OSError, ValueError) as error:
        stated, problems = {}, [Problem("", f"_meta/digests.json is unreadable: {error}")]
    found = {name: _digest(meta_folder(root) / name) for name in stated}
    damaged = {name for name in stated if found[name] not in (None, stated[name])}
    for name in sorted(damaged):
        cure = "delete it and run the build again" if name in _REBUILT else "restore it"
        what = f"has the sha256 {found[name]}, _meta/digests.json says {stated[name]}; {cure}"
        problems.append(Problem("", f"_meta/{name} {what}"))
    return damaged, [*problems, *_check_foreign(meta_folder(root))]


def _read_digests(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    stated = json.loads(text)
    if not isinstance(stated, dict) or json.dumps(stated, indent=1) + "\n" != text:
        raise ValueError("it is not in the form in which digests are written")
    if set(stated) != set(DIGESTED):
        raise ValueError(f"it is about {', '.join(stated) or 'nothing'}, not about {', '.join(DIGESTED)}")
    return stated


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_foreign(meta: Path) -> Iterator[Problem]:
    for path in sorted(meta.iterdir()) if meta.is_dir() else ():
        if path.name not in {*DIGESTED, digests_path(meta.parent).name, "timings"}:
            yield Problem("", f"_meta/{path.name} is nothing that a build writes")
        elif path.is_symlink():
            yield Problem("", f"_meta/{path.name} is a link, not the dataset's own")


def check_listing(root: Path, source: pq.ParquetFile | None) -> Iterator[Problem]:
    """Whether the source listing is the one that the manifest names.

    Args:
        root: of the dataset.
        source: its listing, None if that cannot be read.
    """
    try:
        stated = json.loads((meta_folder(root) / "manifest.json").read_bytes())["identity"]["source"]
        if source is None or _listing_digest(source) == stated:
            return
    # A manifest that says nothing is somebody else's to complain about.
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return
    yield Problem("", "_meta/source.parquet is not the listing that _meta/manifest.json names")


def _listing_digest(source: pq.ParquetFile) -> str:
    digest = hashlib.sha256()
    for rows in (piece.to_pylist() for piece in _pieces(source)):
        held = [row["members"] for row in rows]
        members = [*chain.from_iterable(filter(None, held))]
        plain = [[row[name] for row in rows] for name in _FACTS[:-1]]
        lengths = [None if one is None else len(one) for one in held]
        parts = [[member[name] for member in members] for name in ("ext", "offset", "size")]
        for column in (*plain, lengths, *parts):
            digest.update(json.dumps(column).encode())
    return digest.hexdigest()


def _pieces(source: pq.ParquetFile) -> Iterator[Any]:
    """The listing in pieces of equal length, wherever its row groups end."""
    held = None
    for group in range(source.num_row_groups):
        rows = source.read_row_group(group, columns=[*_FACTS])
        held = rows if held is None else pa.concat_tables([held, rows])
        while held.num_rows >= _PIECE:
            yield held.slice(0, _PIECE)
            held = held.slice(_PIECE)
    if held is not None and held.num_rows:
        yield held
