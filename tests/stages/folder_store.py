# SPDX-License-Identifier: Apache-2.0
"""A folder that behaves as an object store: no folders, and an object is there when its writer closes it."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from stages.shard.remote_path import RemotePath

Step = Callable[[str], None]


def folder_store(root: Path, step: Step = lambda name: None) -> RemotePath:
    """The dataset `set` in the store that keeps its objects in `root`.

    Args:
        root: a folder.
        step: told the name of every request and of every piece that is sent, before it is done.
    """
    return RemotePath(fs.PyFileSystem(_Handler(root, step)), "set")


class _Upload:
    """Bytes on their way; without `close` they come to nothing."""

    def __init__(self, target: Path, parts: Path, step: Step) -> None:
        handle, self._part = tempfile.mkstemp(dir=parts)
        self._stream, self._target, self._step = os.fdopen(handle, "wb"), target, step
        self.closed = False

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._step("write")
        return self._stream.write(content)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        if not self.closed:
            self._step("close")
            self._stream.close()
            self._target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._part, self._target)
        self.closed = True


class _Handler(fs.FileSystemHandler):
    def __init__(self, root: Path, step: Step) -> None:
        self._root, self._parts, self._step = root, root.with_name(f"{root.name}.parts"), step
        for folder in (self._root, self._parts):
            folder.mkdir(parents=True, exist_ok=True)
        self._inner = fs.SubTreeFileSystem(str(root), fs.LocalFileSystem())

    def get_type_name(self) -> str:
        return "folder"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        self._step("look")
        return self._inner.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        self._step("list")
        return self._inner.get_file_info(selector)

    def delete_file(self, path: str) -> None:
        self._step("delete")
        self._inner.delete_file(path)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        self._step("read")
        return self._inner.open_input_stream(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        self._step("read")
        return self._inner.open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any) -> pa.PythonFile:
        self._step("open")
        return pa.PythonFile(_Upload(self._root / path, self._parts, self._step), mode="w")

    def _refused(self, *_: Any) -> Any:
        raise NotImplementedError("an object store cannot do this")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refused
    move = copy_file = open_append_stream = _refused
