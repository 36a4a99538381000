# SPDX-License-Identifier: Apache-2.0
"""Write a shard in processes that die, one at each of its steps: `kill_writer.py FOLDER`.

A step is a call that may change files. Process i ends itself with SIGKILL just before step i of its
writing into `FOLDER/i`; `FOLDER/whole` is written to the end. The names of the steps are printed.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from stages.write import Write
from tests.shards import shard_table

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


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = shard_table(0, rows=5)
    steps = _in_child(folder / "whole", table, None)
    for number in range(len(steps)):
        _in_child(folder / str(number), table, number)
    print(json.dumps(steps))


def _in_child(root: Path, table: Any, last: int | None) -> list[str]:
    """Write in a child that dies before step number `last`; returns the steps that it took."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        _write(root, table, last, writer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        steps = stream.read().split()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if last is None else -signal.SIGKILL)
    return steps


def _write(root: Path, table: Any, last: int | None, report: int) -> None:
    steps: list[str] = []

    def step(_: FrameType, event: str, function: Any) -> None:
        name = getattr(function, "__name__", "")
        if event != "c_call" or name not in STEPS or isinstance(getattr(function, "__self__", None), str):
            return
        if len(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    function = Write(folder=str(root)).setup()
    sys.setprofile(step)
    function(table)
    sys.setprofile(None)
    os.write(report, " ".join(steps).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
