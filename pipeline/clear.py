# SPDX-License-Identifier: Apache-2.0
"""Removing a dataset, so that at no moment something is there that looks like one and is none."""

import re
from contextlib import suppress
from pathlib import Path

from pipeline.dataset.layout import (
    card_path,
    digests_path,
    index_path,
    meta_folder,
    report_path,
    result_paths,
    shards_path,
    source_folder,
    split_folders,
)
from pipeline.errors import UserError
from stages.shard.place import Place
from stages.shard.remove import remove_below

_OURS = re.compile(r"\d{5,}(\.tar|\.parquet|_stats\.json)|\.\d{5,}.*\.tmp-[0-9a-f]{12}")


def clear_dataset(root: Place) -> None:
    """Remove all that a build has written but the manifest, which says whose folder it is.

    The commit records go first: a shard without one is not there.

    Raises:
        UserError: if something cannot be removed.
    """
    try:
        for folder in split_folders(root):
            for record in [path for path in folder.iterdir() if path.name.endswith("_stats.json")]:
                record.unlink(missing_ok=True)
        for place in (report_path, card_path, digests_path, index_path, shards_path):
            place(root).unlink(missing_ok=True)
        for path in result_paths(root):
            if path.is_dir():
                remove_below(path)
            else:
                path.unlink(missing_ok=True)
        meta = meta_folder(root)
        for folder in split_folders(root):
            _remove_shards(folder)
        for folder in (meta / "intents", meta / "timings", meta / "events", meta / "subjects"):
            remove_below(folder)
        (meta / "events.jsonl").unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove the old dataset in {root}: {error.strerror or error}") from error


def _remove_shards(folder: Place) -> None:
    """Remove shards' files, drafts of them and then an empty folder; what else lies there is not ours."""
    for path in [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]:
        path.unlink(missing_ok=True)
    if isinstance(folder, Path):
        with suppress(OSError):
            folder.rmdir()


def clear_listings(root: Place) -> None:
    """Remove the listings of a build that never got to a shard.

    Raises:
        UserError: if something cannot be removed.
    """
    try:
        remove_below(source_folder(root))
    except OSError as error:
        raise UserError(f"cannot write to {root}: {error.strerror or error}") from error
