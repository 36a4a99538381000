# SPDX-License-Identifier: Apache-2.0
"""How a source differs from what was planned, in words for somebody whose build is refused for it."""

from collections.abc import Sequence

from pipeline.dataset.parts import Part
from pipeline.sources import Source
from pipeline.sources.digest import Reckoned
from pipeline.sources.files import walk
from pipeline.sources.location import encoded
from pipeline.wording import counted


def source_changes(parts: Sequence[Part], origin: Source, digest: str, limit: int | None) -> str:
    """`source (2 files new, the first is 'b.jpg'), --limit (none, was 40); ` and which ways on there are.

    Args:
        parts: what was planned.
        origin: the source as it is now.
        digest: its, see `pipeline.sources.digest`.
        limit: how many of its items are asked for; None for all.
    """
    about, told, less, mended = parts[-1].about, [], False, ""
    if about.get("source") != digest:
        files, less = _file_changes(parts, origin)
        mended = "`subjectforge retry` makes rows of mended files anew, " if not less else ""
        told.append(f"source ({files})")
    if about.get("limit") != limit:
        told.append(f"--limit ({limit or 'none'}, was {about.get('limit') or 'none'})")
        less |= limit is not None and limit < (about.get("limit") or about.get("available", 0))
    # A dataset never gets less by --extend: whoever gave it would only be refused again.
    way = "restore what was there" if less else "--extend adds new items as new shards"
    return f"{', '.join(told)}; {way}, {mended}--overwrite begins anew"


def _file_changes(parts: Sequence[Part], origin: Source) -> tuple[str, bool]:
    """In words, and whether any are gone."""
    if isinstance(origin, Reckoned):
        return _item_changes(parts, origin)
    # Beyond a limit nothing was listed, and what is there now is not for that reason new.
    whole = parts[-1].about.get("limit") is None
    known = {path for part in parts for rows in part.all_rows(["path"]) for path in rows["path"].to_pylist()}
    found = {
        encoded(file.path)
        for folder in walk(origin.location)
        for file in folder
        if file.path.lower().endswith(origin.suffixes)
    }
    told = [
        f"{counted(len(paths), 'file')} {what}, the first is {min(paths)!r}"
        for what, paths in (("new", found - known if whole else set()), ("gone", known - found))
        if paths
    ]
    words = "; ".join(told) or ("sizes of files" if whole else "files beyond the limit, or sizes of files")
    return words, bool(known - found)


def _item_changes(parts: Sequence[Part], origin: Source) -> tuple[str, bool]:
    """The same of a source without files."""
    known = {
        key
        for part in parts
        for rows in part.all_rows(["source_key"])
        for key in rows["source_key"].to_pylist()
    }
    gone = known - {*origin.listing()["source_key"].to_pylist()}
    return (f"{counted(len(gone), 'item')} gone, the first is {min(gone)!r}" if gone else "new items"), bool(
        gone
    )
