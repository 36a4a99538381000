# SPDX-License-Identifier: Apache-2.0
"""Write a shard in processes that die, one at each of their steps: `kill_writer.py posix|store FOLDER`.

Process i ends itself with SIGKILL just before step i of its writing into `FOLDER/i`; `FOLDER/whole` is
written to the end. A step is a call that may change files, or, with `store`, a request to a store that is
a folder. The names of the steps are printed.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa

from stages.write import Write, write_shard
from tests.shards import shard_table
from tests.stages.folder_store import Step, folder_store

STEPS = {
    "flock",
    "open",
    "mkdir",
    "write",
    "flush",
    "fsync",
    "replace",
    "unlink",
    "close",
    "scandir",
    "listdir",
}
Writer = Callable[[Path, pa.Table, Step], None]


def main(writer: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = shard_table(0, rows=5)
    write = {"posix": _write_folder, "store": _write_store}[writer]
    steps = _in_child(write, folder / "whole", table, None)
    for number in range(len(steps)):
        _in_child(write, folder / str(number), table, number)
    print(json.dumps(steps))


def _in_child(write: Writer, root: Path, table: pa.Table, last: int | None) -> list[str]:
    """Write in a child that dies before step number `last`; returns the steps that it took."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        steps: list[str] = []

        def step(name: str) -> None:
            if len(steps) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            steps.append(name)

        write(root, table, step)
        os.write(writer, " ".join(steps).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        steps = stream.read().split()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if last is None else -signal.SIGKILL)
    return steps


def _write_folder(root: Path, table: pa.Table, step: Step) -> None:
    def call(_: FrameType, event: str, function: Any) -> None:
        name = getattr(function, "__name__", "")
        if event == "c_call" and name in STEPS and not isinstance(getattr(function, "__self__", None), str):
            step(name)

    function = Write(folder=str(root)).setup()
    sys.setprofile(call)
    function(table)
    sys.setprofile(None)


def _write_store(root: Path, table: pa.Table, step: Step) -> None:
    write_shard(folder_store(root, step), "train", table)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
