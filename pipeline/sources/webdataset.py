# SPDX-License-Identifier: Apache-2.0
"""Webdataset tars, such as img2dataset writes: a picture, perhaps its text, perhaps its metadata."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
from pyarrow import fs

from pipeline.sources.base import BROKEN, IMAGE_EXTENSIONS, Item, Member, listing_table, printable
from pipeline.sources.fetch import Payload, fetch_each, unreadable
from pipeline.sources.files import File, files
from pipeline.sources.location import Location, encoded
from pipeline.sources.metadata import decoded, parsed, url_and_text
from pipeline.sources.tar_index import TarIndex, index_tar
from stages.columns import ERROR, OK, REJECTED

SUFFIXES = (".tar",)

# An object store answers one large request in the time of a hundred thousand bytes of waiting.
_REMOTE_BUFFER = 4 << 20


@dataclass(frozen=True)
class WebdatasetSource:
    """One sample for each key in each tar; its key is the tar's path, `/`, and the sample's own key."""

    location: Location

    @property
    def suffixes(self) -> tuple[str, ...]:
        """See `Source.suffixes`."""
        return SUFFIXES

    def listing(self) -> pa.Table:
        """See `Source.listing`. A tar that breaks off gives its samples up to there, and a row `!broken`."""
        found, others = files(self.location, SUFFIXES)
        return listing_table((item for file in found for item in self.samples(file)), others)

    def fetch(self, items: pa.Table) -> pa.Table:
        """See `Source.fetch`. Reads the members' byte ranges, not the whole tar."""
        with ExitStack() as stack:
            tar = cache(lambda path: stack.enter_context(self.location.open(path)))
            return fetch_each(self.location, items, lambda item: _payload(tar(item["path"]), item["members"]))

    def samples(self, tar: File) -> Iterator[Item]:
        """The items of one tar, in its order; reads its headers."""
        path, name = encoded(tar.path), printable(tar.path)
        index = self._index(tar, path)
        if index.broken:
            verdict = (ERROR, "broken_tar", index.broken)
            yield Item(f"{name}{BROKEN}", path, None, (), *verdict)
        for key, members in index.samples:
            verdict = (
                (OK, None, None)
                if _picture(members)
                else (REJECTED, "no_image", "no picture among its files")
            )
            yield Item(f"{name}/{key}", path, None, members, *verdict)

    def _index(self, tar: File, path: str) -> TarIndex:
        if tar.problem:
            return TarIndex(broken=tar.problem)
        try:
            with self.location.open(path) as file:
                remote = not isinstance(self.location.filesystem, fs.LocalFileSystem)
                return index_tar(io.BufferedReader(file, _REMOTE_BUFFER) if remote else file, file.size())
        except Exception as error:  # filesystems of all makers raise what they like
            return TarIndex(broken=unreadable(error).detail)


def _picture(members: tuple[Member, ...]) -> Member | None:
    by_extension = {member.ext: member for member in members}
    return next((by_extension[ext] for ext in IMAGE_EXTENSIONS if ext in by_extension), None)


def _payload(tar: pa.NativeFile, listed: list[dict[str, Any]]) -> Payload:
    members = {row["ext"]: Member(**row) for row in listed}
    picture = _picture(tuple(members.values()))
    meta, url, text = None, None, None
    if "json" in members:
        meta, fields = parsed(decoded(_read(tar, members["json"])))
        url, text = url_and_text(fields)
    if "txt" in members:
        text = decoded(_read(tar, members["txt"])) or text
    return Payload(_read(tar, picture) if picture else None, text, url, meta)


def _read(tar: pa.NativeFile, member: Member) -> bytes:
    data = tar.read_at(member.size, member.offset)
    if len(data) != member.size:
        raise OSError(f"{member.size} bytes expected at byte {member.offset} of the tar, {len(data)} found")
    return data
