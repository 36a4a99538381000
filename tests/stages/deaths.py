# SPDX-License-Identifier: Apache-2.0
"""Writers that are killed at every step of writing a shard, and what they leave behind."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stages.shard.place import Place
from stages.write import write_shard
from tests.shards import shard_table
from tests.stages.folder_store import folder_store

ROOT = Path(__file__).parents[2]
RECORD = "00000_stats.json"
Protocol = Literal["posix", "store"]


@dataclass(frozen=True, slots=True)
class Deaths:
    """What came of killing a writer at each of its steps, one process a step."""

    points: int
    """Steps before which a writer was killed."""
    differences: int
    """Shards that counted as written and were not, or that writing again did not make what they should be."""


def count_deaths(protocol: Protocol, folder: Path) -> Deaths:
    """Kill a writer at every step, look at what it left, write again, and look again; takes half a minute.

    Args:
        protocol: that of a POSIX file system, or that of an object store.
        folder: an empty one on this machine.
    """
    steps = kill_at_every_step(protocol, folder)
    whole, differences = contents(protocol, folder / "whole"), 0
    for step in range(len(steps)):
        left = contents(protocol, folder / str(step))
        torn = RECORD in left and left != whole
        write_again(protocol, folder / str(step))
        differences += torn or contents(protocol, folder / str(step)) != whole
    return Deaths(len(steps), differences)


def kill_at_every_step(protocol: Protocol, folder: Path) -> list[str]:
    """Run `kill_writer.py`; the names of the steps. Writer i was killed before step i, in `folder/i`."""
    command = [sys.executable, str(Path(__file__).with_name("kill_writer.py")), protocol, str(folder)]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def write_again(protocol: Protocol, root: Path) -> None:
    """Write the shard that `kill_writer.py` writes, undisturbed."""
    write_shard(dataset(protocol, root), "train", shard_table(0, rows=5))


def contents(protocol: Protocol, root: Path) -> dict[str, bytes]:
    """All that is in the folder of the shard."""
    folder = dataset(protocol, root) / "data" / "train"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def dataset(protocol: Protocol, root: Path) -> Place:
    """The dataset that was written into a folder."""
    return root if protocol == "posix" else folder_store(root)
