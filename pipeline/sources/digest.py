# SPDX-License-Identifier: Apache-2.0
"""Whether a source is what it was, by its files' names and sizes: no file is opened, none is remembered."""

import hashlib
import json
from typing import Protocol, runtime_checkable

from pipeline.sources.base import Source
from pipeline.sources.files import walk


@runtime_checkable
class Reckoned(Protocol):
    """A source that is no files: what it holds follows from a configuration."""

    asked: str
    """What decides an item, in words for people."""

    def digest(self) -> str:
        """64 hex digits; others for anything else that it would hold."""
        ...


def source_digest(source: Source) -> str:
    """SHA-256 of the names and sizes of a source's files, folder by folder, as 64 hex digits.

    Where the files are is left out: the same pictures under another mount are the same input.

    Raises:
        pipeline.errors.UserError: the place cannot be listed.
    """
    if isinstance(source, Reckoned):
        return source.digest()
    digest = hashlib.sha256()
    for folder in walk(source.location):
        for file in folder:
            if file.path.lower().endswith(source.suffixes):
                name = file.path.encode("utf-8", "surrogateescape").decode("latin-1")
                digest.update(json.dumps([name, file.size, file.problem]).encode() + b"\n")
    return digest.hexdigest()
