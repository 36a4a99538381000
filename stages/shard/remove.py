# SPDX-License-Identifier: Apache-2.0
"""Removing a folder with all that is in it."""

import shutil
from pathlib import Path

from stages.shard.place import Place


def remove_below(folder: Place) -> None:
    """Remove a folder, or all objects below a prefix; nothing happens if nothing is there.

    Raises:
        OSError: something cannot be removed.
    """
    if isinstance(folder, Path):
        if folder.is_dir():
            shutil.rmtree(folder)
        return
    folder.filesystem.delete_dir_contents(folder.key, missing_dir_ok=True)
