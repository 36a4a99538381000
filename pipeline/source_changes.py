# SPDX-License-Identifier: Apache-2.0
"""How a source differs from what was planned, in words for somebody whose build is refused for it."""

from collections.abc import Sequence

from pipeline.dataset.parts import Part
from pipeline.sources import Source
from pipeline.sources.files import walk
from pipeline.sources.location import encoded
from pipeline.wording import counted


def source_changes(parts: Sequence[Part], origin: Source, digest: str, limit: int | None) -> str:
    """`source (2 files new, the first is 'b.jpg'), --limit (none, was 40)`.

    Args:
        parts: what was planned.
        origin: the source as it is now.
        digest: its, see `pipeline.sources.digest`.
        limit: how many of its items are asked for; None for all.
    """
    about, told = parts[-1].about, []
    if about.get("source") != digest:
        told.append(f"source ({_file_changes(parts, origin)})")
    if about.get("limit") != limit:
        told.append(f"--limit ({limit or 'none'}, was {about.get('limit') or 'none'})")
    return ", ".join(told)


def _file_changes(parts: Sequence[Part], origin: Source) -> str:
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
    return "; ".join(told) or ("sizes of files" if whole else "files beyond the limit, or sizes of files")
