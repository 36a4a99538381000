# SPDX-License-Identifier: Apache-2.0
"""Where everything is below a dataset's root.

The truth about what is done is the listing of a split's folder: a shard whose stats file is there is
committed, any other is not.
"""

import json
import re
from pathlib import Path

from pipeline.errors import UserError
from stages.shard.files import ShardFiles

_STATS = re.compile(r"([0-9]{5}|[1-9][0-9]{5,})_stats\.json")


def split_folder(root: Path, split: str = "train") -> Path:
    """Where the shards of a split are."""
    return root / "data" / split


def split_folders(root: Path) -> list[Path]:
    """The folders of all splits that are there, sorted."""
    data = root / "data"
    return sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []


def committed_shards(root: Path, split: str = "train") -> list[ShardFiles]:
    """The committed shards of a split in the order of their numbers; one directory listing."""
    folder = split_folder(root, split)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(ShardFiles(folder, int(match[1])) for match in map(_STATS.fullmatch, names) if match)


def is_whole(shard: ShardFiles) -> bool:
    """Whether a committed shard's files are there with the sizes that its stats state; reads no contents."""
    try:
        files = json.loads(shard.stats.read_bytes())["files"]
        return all(
            path.stat().st_size == files[kind]["bytes"]
            for kind, path in (("tar", shard.tar), ("parquet", shard.parquet))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def all_shards(root: Path) -> list[ShardFiles]:
    """The committed shards of all splits.

    Raises:
        UserError: if the folder is no dataset.
    """
    if not root.is_dir():
        raise UserError(f"{root} does not exist; give the folder that `subjectforge build` wrote")
    if not (root / "data").is_dir():
        raise UserError(
            f"{root} is not a dataset: it has no folder `data`; give what `subjectforge build` wrote"
        )
    return [shard for folder in split_folders(root) for shard in committed_shards(root, folder.name)]


def meta_folder(root: Path) -> Path:
    """What is known about the build: configuration, source listing, index."""
    return root / "_meta"


def source_folder(root: Path) -> Path:
    """The listings of what the shards are to hold; see `pipeline.dataset.parts`."""
    return meta_folder(root) / "source"


def shards_path(root: Path) -> Path:
    """The list of committed shards: url, samples, rows, bytes, sha256."""
    return meta_folder(root) / "shards.json"


def index_path(root: Path) -> Path:
    """All shards' rows in one parquet, without the masks."""
    return meta_folder(root) / "index.parquet"


def digested_files(root: Path) -> dict[str, Path]:
    """By name below `_meta` the files that say what a finished dataset is, there or not: all but logs."""
    listings = source_folder(root).iterdir() if source_folder(root).is_dir() else ()
    names = [f"source/{path.name}" for path in sorted(listings) if not path.name.startswith(".")]
    names = ["config.yaml", "manifest.json", *names, "shards.json", "index.parquet"]
    return {name: meta_folder(root) / name for name in names}


def digests_path(root: Path) -> Path:
    """SHA-256 of the `digested_files`, by name."""
    return meta_folder(root) / "digests.json"


def card_path(root: Path) -> Path:
    """The dataset card."""
    return root / "README.md"


def report_path(root: Path) -> Path:
    """The page that shows what the dataset holds."""
    return root / "report.html"


def is_finished(root: Path) -> bool:
    """Whether all is there that follows from the shards."""
    return all(
        place(root).is_file() for place in (shards_path, index_path, digests_path, card_path, report_path)
    )
