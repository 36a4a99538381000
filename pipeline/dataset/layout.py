# SPDX-License-Identifier: Apache-2.0
"""Where everything is below a dataset's root.

The truth about what is done is the listing of a split's folder: a shard whose stats file is there is
committed, any other is not.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import UserError
from stages.parse import parse_json
from stages.shard.files import ShardFiles
from stages.shard.place import Place, file_names, file_sizes, in_order

_STATS = re.compile(r"([0-9]{5}|[1-9][0-9]{5,})_stats\.json")


def split_folder(root: Place, split: str = "train") -> Place:
    """Where the shards of a split are."""
    return root / "data" / split


def split_folders(root: Place) -> list[Place]:
    """The folders of all splits that are there, sorted."""
    data = root / "data"
    return sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []


def committed_shards(root: Place, split: str = "train") -> list[ShardFiles]:
    """The committed shards of a split in the order of their numbers; one directory listing."""
    folder = split_folder(root, split)
    return _shards(folder, file_names(folder))


def checked_shards(root: Place, split: str = "train") -> tuple[list[ShardFiles], list[ShardFiles]]:
    """The committed shards whose files are there with the sizes that their stats state, and the others.

    One listing of the folder, and the stats; reads no other contents.
    """
    folder = split_folder(root, split)
    sizes = file_sizes(folder)
    shards = _shards(folder, sizes)
    whole = [*in_order(root, lambda shard: _is_whole(shard, sizes), shards)]
    pairs = [*zip(shards, whole, strict=True)]
    return [shard for shard, good in pairs if good], [shard for shard, good in pairs if not good]


def _is_whole(shard: ShardFiles, sizes: Mapping[str, int]) -> bool:
    try:
        files = parse_json(shard.stats.read_bytes())["files"]
        return all(
            sizes.get(path.name) == files[kind]["bytes"]
            for kind, path in (("tar", shard.tar), ("parquet", shard.parquet))
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _shards(folder: Place, names: Iterable[str]) -> list[ShardFiles]:
    return sorted(ShardFiles(folder, int(match[1])) for match in map(_STATS.fullmatch, names) if match)


def all_shards(root: Place) -> list[ShardFiles]:
    """The committed shards of all splits.

    Raises:
        UserError: if the folder is no dataset.
    """
    try:
        there, data = root.is_dir(), (root / "data").is_dir()
    except OSError as error:
        raise UserError(f"{root} cannot be reached: {error}; check address and access") from error
    if not there:
        what = "is a file" if root.is_file() else "does not exist"
        raise UserError(f"{root} {what}; give the folder that `subjectforge build` wrote")
    if not data:
        raise UserError(
            f"{root} is not a dataset: it has no folder `data`; give what `subjectforge build` wrote"
        )
    return [shard for folder in split_folders(root) for shard in committed_shards(root, folder.name)]


def meta_folder(root: Place) -> Place:
    """What is known about the build: configuration, source listing, index."""
    return root / "_meta"


def source_folder(root: Place) -> Place:
    """The listings of what the shards are to hold; see `pipeline.dataset.parts`."""
    return meta_folder(root) / "source"


def draft_folders(root: Place, split: str) -> list[Place]:
    """Where dead writers may have left drafts, if it is there; of an object store, shards' folders only."""
    meta = meta_folder(root)
    folders = [split_folder(root, split)]
    if isinstance(root, Path):
        folders += [root, meta, meta / "timings", source_folder(root)]
    return [folder for folder in folders if folder.is_dir()]


def config_path(root: Place) -> Place:
    """The configuration, with where the work runs."""
    return meta_folder(root) / "config.yaml"


def shards_path(root: Place) -> Place:
    """The list of committed shards: url, samples, rows, bytes, sha256."""
    return meta_folder(root) / "shards.json"


def index_path(root: Place) -> Place:
    """All shards' rows in one parquet, without the masks."""
    return meta_folder(root) / "index.parquet"


def digested_files(root: Place) -> dict[str, Place]:
    """By name below `_meta` the files that say what a finished dataset is, there or not: all but logs."""
    listings = source_folder(root).iterdir() if source_folder(root).is_dir() else ()
    names = [f"source/{path.name}" for path in sorted(listings) if not path.name.startswith(".")]
    names = ["config.yaml", "manifest.json", *names, "shards.json", "index.parquet"]
    return {name: meta_folder(root) / name for name in names}


def digests_path(root: Place) -> Place:
    """SHA-256 of the `digested_files`, by name."""
    return meta_folder(root) / "digests.json"


def card_path(root: Place) -> Place:
    """The dataset card."""
    return root / "README.md"


def report_path(root: Place) -> Place:
    """The page that shows what the dataset holds."""
    return root / "report.html"


EVALUATION = "evaluation"
"""The split of an evaluation's pictures."""


def is_evaluation(root: Place) -> bool:
    """Whether its pictures are those of an evaluation."""
    return split_folder(root, EVALUATION).is_dir()


def result_paths(root: Place) -> list[Place]:
    """What an evaluation writes beside its dataset, a folder last; nothing if there is no evaluation."""
    if not is_evaluation(root):
        return []
    return [root / name for name in ("results.parquet", "results.json", "table.md", "images")]


def is_finished(root: Place) -> bool:
    """Whether all is there that follows from the shards; the digests are gone while the rest may be stale."""
    derived = (shards_path, index_path, digests_path, card_path, report_path)
    return all(place(root).is_file() for place in (*derived, config_path))
