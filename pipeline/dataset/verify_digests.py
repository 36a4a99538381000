# SPDX-License-Identifier: Apache-2.0
"""The files of `_meta` against the digests of a finished build, and the listing's own order."""

import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import pyarrow as pa

from pipeline.dataset.layout import digested_files, digests_path, meta_folder, source_folder
from pipeline.dataset.parts import RETRY, Part
from pipeline.dataset.problem import Problem
from stages.parse import parse_json
from stages.shard.place import Place, below

_FIRST_LISTING = "source/00000.parquet"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNREADABLE = "unreadable"
_REBUILT = ("shards.json", "index.parquet")
_NEEDED = ("config.yaml", "manifest.json", *_REBUILT)
_LOGS = ("timings", "events", "events.jsonl", "inflight", "intents", "lease.json", "subjects")
"""What runs leave beside what they make; not looked at."""


def check_digests(root: Place) -> tuple[set[str], list[Problem]]:
    """Which files of `_meta` are not what the build wrote, and all that is wrong with it.

    A file that is missing is left to whoever needs it.
    """
    files, problems = digested_files(root), [*_check_foreign(meta_folder(root))]
    try:
        stated = _read_digests(digests_path(root))
    except FileNotFoundError:
        return set(), [
            *problems,
            Problem("", "_meta/digests.json is missing; the same build again writes it"),
        ]
    except (OSError, ValueError) as error:
        return set(), [
            *problems,
            Problem("", f"_meta/digests.json is unreadable: {error}; delete it and run the build again"),
        ]
    found = {name: _digest(path) for name, path in files.items()}
    for name in sorted({*stated, *files}):
        if what := _difference(name, found.get(name), stated.get(name)):
            problems.append(Problem("", f"_meta/{name} {what}"))
    harmed = {name for name in stated if found.get(name) not in (None, stated[name])}
    # Without one of the listings nobody knows which rows are the newest.
    return harmed | {name for name in stated if name.startswith("source/") and name not in files}, problems


def _difference(name: str, found: str | None, stated: str | None) -> str | None:
    if stated is None:
        if name.startswith("source/") and name != _FIRST_LISTING:
            return "was not there when the build ended (_meta/digests.json); move it away"
        return "is not in _meta/digests.json; delete that and run the build again"
    if found is None:
        return None if name in _NEEDED else "is missing, though _meta/digests.json lists it"
    if found == _UNREADABLE:
        return "cannot be read; give access to it, or restore it"
    cure = "restore it, or delete _meta/digests.json and run the build again if that is what was damaged"
    cure = "delete it and run the build again" if name in _REBUILT else cure
    return None if found == stated else f"has the sha256 {found}, _meta/digests.json says {stated}; {cure}"


def _read_digests(path: Place) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    stated = parse_json(text)
    if not isinstance(stated, dict) or json.dumps(stated, indent=1) + "\n" != text:
        raise ValueError("it is not in the form in which digests are written")
    if not all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in stated.values()):
        raise ValueError("what it holds are no digests")
    return stated


def _digest(path: Place) -> str | None:
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return _UNREADABLE


def _check_foreign(meta: Place) -> Iterator[Problem]:
    root = meta.parent
    ours = {*digested_files(root).values(), digests_path(root), source_folder(root)}
    ours |= {meta / name for name in _LOGS}
    folders = [folder for folder in (meta, source_folder(root)) if folder.is_dir()]
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        if path not in ours:
            yield Problem("", f"{below(path, root)} is nothing that a build writes")
        elif path.is_symlink():
            yield Problem("", f"{below(path, root)} is a link, not the dataset's own")


def check_listing(parts: Sequence[Part]) -> Iterator[Problem]:
    """Whether the listings of the source have every item once: in each the keys rise, and none is in two."""
    readable, listed = [], [part for part in parts if part.kind != RETRY]
    for part in listed:
        place = f"_meta/source/{part.listing.name}"
        try:
            yield from (
                Problem("", f"{place} lists {what}, or in another order") for what in _twice(_keys(part))
            )
            readable.append(part)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            yield Problem("", f"{place} is unreadable: {error}")
    if len(readable) == len(listed) > 1:
        for what in _twice(heapq.merge(*map(_keys, listed))):
            yield Problem("", f"the listings in _meta/source list {what}")


def _keys(part: Part) -> Iterator[str]:
    return (key for rows in part.all_rows(["source_key"]) for key in rows["source_key"].to_pylist())


def _twice(keys: Iterable[str]) -> Iterator[str]:
    for before, key in pairwise(keys):
        if key <= before:
            yield f"{key!r} after {before!r}: twice"
