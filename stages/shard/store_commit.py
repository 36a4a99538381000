# SPDX-License-Identifier: Apache-2.0
"""Objects that count whole or not at all, in a store that cannot rename, lock or refuse to overwrite.

A shard's intent, `ROOT/_meta/intents/SPLIT/NNNNN.json`, says which objects an attempt is about to put and
what is in them. Then come the objects, each whole from its first moment on, then the record, whose
presence alone decides; the intent goes last. Objects with an intent and without a record are what a
dead writer left over.
"""

import errno
import hashlib
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BufferedRandom
from typing import Any

from stages.parse import parse_json
from stages.shard.remote_path import RemotePath

_PIECE = 8 << 20
"""Bytes handed to the store at a time."""
_RECORD = "_stats.json"


def commit(paths: Sequence[RemotePath], fill: Callable[..., object], guard: Callable[[], None]) -> bool:
    """See `stages.shard.commit.commit`.

    Raises:
        OSError: the store did not take an object whole, or somebody else writes other bytes to the same
            place at the same time.
    """
    record = paths[-1]
    if record.exists():
        return False
    with ExitStack() as stack:
        drafts = [stack.enter_context(tempfile.TemporaryFile()) for _ in paths]
        fill(*drafts)
        files = {path.name: _contents(draft) for path, draft in zip(paths, drafts, strict=True)}
        if record.exists():
            return False
        guard()
        intent = intent_of(record)
        _put_intent(intent, files)
        for path, draft in zip(paths[:-1], drafts[:-1], strict=True):
            _upload(draft, path)
        guard()
        _check_alone(intent, record, files)
        _upload(drafts[-1], record)
    intent.unlink(missing_ok=True)
    return True


def rewrite(path: RemotePath, fill: Callable[[BufferedRandom], object]) -> None:
    """See `stages.shard.commit.rewrite`."""
    with tempfile.TemporaryFile() as draft:
        fill(draft)
        _send(draft, path)
        if _is_whole(draft, path):
            return
        # Whoever writes the same place at the same time makes it look cut off, for a moment.
        _upload(draft, path)


def remove_leftovers(folder: RemotePath) -> None:
    """Remove the intents of a split's folder, and the objects of those that came to no record.

    What has a record stays, whatever an intent says of it.
    """
    intents = list(_intents(folder).iterdir())
    names = {path.name for path in folder.iterdir()} if intents else set()
    for intent in intents:
        if f"{intent.stem}{_RECORD}" not in names:
            for name in sorted(_named(intent) & names):
                (folder / name).unlink(missing_ok=True)
        intent.unlink(missing_ok=True)


def intent_of(record: RemotePath) -> RemotePath:
    """Where the intent of the shard with this record is."""
    return _intents(record.parent) / f"{record.name.removesuffix(_RECORD)}.json"


def _intents(folder: RemotePath) -> RemotePath:
    return folder.parent.parent / "_meta" / "intents" / folder.name


def _named(intent: RemotePath) -> set[str]:
    """The names in an intent; only plain ones that begin with its shard's number, whatever was put there."""
    files = (_read(intent) or {}).get("files")
    names = [name for name in files if "/" not in name] if isinstance(files, dict) else []
    return {name for name in names if name.startswith((f"{intent.stem}.", f"{intent.stem}_"))}


def _read(intent: RemotePath) -> dict[str, Any] | None:
    try:
        found = parse_json(intent.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _check_alone(intent: RemotePath, record: RemotePath, files: dict[str, Any]) -> None:
    """Another attempt at the same bytes does no harm; one at others, or one that cleared up, does."""
    found = _read(intent)
    if found is None and record.exists():
        found = {"files": files | {record.name: _contents_of(record)}}
    if found is None or found.get("files") != files:
        raise OSError(
            errno.EBUSY, f"another run writes to the same dataset; stop one of the two: {record.parent}"
        )


def _contents(draft: BufferedRandom) -> dict[str, Any]:
    draft.seek(0)
    digest = hashlib.file_digest(draft, "sha256").hexdigest()
    return {"bytes": draft.tell(), "sha256": digest}


def _contents_of(path: RemotePath) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _put_intent(intent: RemotePath, files: dict[str, Any]) -> None:
    with tempfile.TemporaryFile() as draft:
        draft.write(json.dumps({"attempt": uuid.uuid4().hex, "files": files}).encode())
        # Read again before the record: its size need not be asked for.
        _send(draft, intent)


def _upload(draft: BufferedRandom, path: RemotePath) -> None:
    _send(draft, path)
    if not _is_whole(draft, path):
        raise OSError(errno.EIO, f"the store did not take all {draft.tell()} bytes of it: {path}")


def _is_whole(draft: BufferedRandom, path: RemotePath) -> bool:
    return path.filesystem.get_file_info(path.key).size == draft.tell()


def _send(draft: BufferedRandom, path: RemotePath) -> None:
    # Ctrl-C reaches the main thread only. There, it would close the object half written, and make it visible.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_copy, draft, path).result()


def _copy(draft: BufferedRandom, path: RemotePath) -> None:
    draft.seek(0)
    with path.filesystem.open_output_stream(path.key) as stream:
        shutil.copyfileobj(draft, stream, _PIECE)
