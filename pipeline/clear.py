# SPDX-License-Identifier: Apache-2.0
"""Removing a dataset, so that at no moment something is there that looks like one and is none."""

import shutil
from pathlib import Path

from pipeline.dataset.layout import (
    card_path,
    digests_path,
    index_path,
    meta_folder,
    report_path,
    shards_path,
    source_folder,
    split_folders,
)
from pipeline.errors import UserError


def clear_dataset(root: Path) -> None:
    """Remove all that a build has written but the manifest, which says whose folder it is.

    The commit records go first: a shard without one is not there.

    Raises:
        UserError: if something cannot be removed.
    """
    try:
        for folder in split_folders(root):
            for record in folder.glob("*_stats.json"):
                record.unlink(missing_ok=True)
        for place in (report_path, card_path, digests_path, index_path, shards_path):
            place(root).unlink(missing_ok=True)
        for folder in (root / "data", meta_folder(root) / "timings"):
            if folder.is_dir():
                shutil.rmtree(folder)
        (meta_folder(root) / "events.jsonl").unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove the old dataset in {root}: {error.strerror or error}") from error


def clear_listings(root: Path) -> None:
    """Remove the listings of a build that never got to a shard.

    Raises:
        UserError: if something cannot be removed.
    """
    try:
        if source_folder(root).is_dir():
            shutil.rmtree(source_folder(root))
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror or error}") from error
