# SPDX-License-Identifier: Apache-2.0
"""What lies among the shards and belongs to none of them."""

from collections.abc import Iterator, Sequence

from pipeline.dataset.layout import committed_shards, meta_folder, split_folders
from pipeline.dataset.problem import Problem
from stages.parse import parse_json
from stages.shard.files import ShardFiles
from stages.shard.place import Place, below


def check_foreign(root: Place, shards: Sequence[ShardFiles]) -> Iterator[Problem]:
    """Files below `data` that are no committed shard's; folders of splits hold shards and nothing else.

    Args:
        root: of the dataset.
        shards: those that were committed when the check began.
    """
    folders = split_folders(root)
    above = [root / "data", meta_folder(root)]
    holding = {*above, *({files.folder for files in shards} or folders)}
    begun = {path for folder in folders for path in _begun(root, folder)}
    found = sorted(path for folder in (root / "data", *folders) for path in folder.iterdir())
    # Those too that a run has committed in the meantime.
    now = [files for folder in folders for files in committed_shards(root, folder.name)]
    ours = {path for files in (*shards, *now) for path in (files.tar, files.parquet, files.stats)}
    for path in [*above, *found]:
        if path.is_symlink():
            yield Problem("", f"{below(path, root)} is a link, not the dataset's own")
        if path not in ours and path not in holding:
            leftover = path in begun or (path.name.startswith(".") and ".tmp-" in path.name)
            what = "is a file that a writer did not finish" if leftover else "belongs to no committed shard"
            yield Problem("", f"{below(path, root)} {what}")


def _begun(root: Place, folder: Place) -> Iterator[Place]:
    """In an object store, what a writer said that it was about to put there."""
    intents = meta_folder(root) / "intents" / folder.name
    for intent in intents.iterdir() if intents.is_dir() else ():
        try:
            names = [*parse_json(intent.read_bytes())["files"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        yield from (folder / name for name in names if "/" not in name)
