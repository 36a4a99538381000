# SPDX-License-Identifier: Apache-2.0
"""What every part of a run knows of it."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline.dataset.layout import meta_folder
from pipeline.run_log import RunLog
from pipeline.stopping import Stopper
from stages.attempts import Notes
from stages.shard.fence import Fence
from stages.shard.place import Place

_NOTES = "inflight"


@dataclass(slots=True)
class RunContext:
    """One run, from when its lease is held until its last shard; on the driver."""

    fence: Fence
    """Goes to the workers."""
    notes: Notes
    """Goes to the workers."""
    stopper: Stopper
    log: RunLog
    free: Callable[[], str] = str
    """What of the cluster nobody holds; the executor knows."""
    gone: Callable[[], str] = str
    """Why the run cannot go on, if what carries it has died; the executor knows."""

    def __enter__(self) -> Self:
        # What other runs left there belongs to workers that are dead.
        shutil.rmtree(self.notes.folder, ignore_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.notes.folder, ignore_errors=True)


def has_notes(root: Place) -> bool:
    """Whether workers of a run have noted something beside the dataset."""
    return isinstance(root, Path) and (meta_folder(root) / _NOTES).is_dir()


def forget_notes(root: Place) -> None:
    """Take it away; whoever holds the folder's lease may."""
    folder = meta_folder(root) / _NOTES
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)


def notes_folder(root: Place, token: str) -> Notes:
    """Where a run's workers note what they have in hand: with the dataset if that is a folder that all of
    them see, else on each machine."""
    if isinstance(root, Path):
        return Notes(str(meta_folder(root.resolve()) / _NOTES), token)
    return Notes(str(Path(tempfile.gettempdir()) / f"subjectforge-{token}"), token)
