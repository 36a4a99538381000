# SPDX-License-Identifier: Apache-2.0
"""What a dataset says about itself, beside its shards: what made it, and the rows of all shards together."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import yaml

from pipeline.dataset.layout import index_path, meta_folder, shards_path
from pipeline.dataset.problem import Problem
from pipeline.yaml_file import parse_yaml
from stages.parse import parse_json
from stages.shard.files import ShardFiles, place_of
from stages.shard.place import Place, below, open_parquet


def check_manifest(root: Place) -> Iterator[Problem]:
    """Whether the manifest has its own fingerprint, and the configuration is the one that it names."""
    manifest, problem = _read(root, "manifest.json", parse_json)
    config, other = _read(root, "config.yaml", parse_yaml)
    yield from filter(None, (problem, other))
    if problem is not None:
        return
    try:
        identity = manifest["identity"]
        if (
            manifest["fingerprint"]
            != hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        ):
            yield Problem("", "_meta/manifest.json does not have the fingerprint that it states")
        elif other is None and _without_resources(config) != identity["config"]:
            yield Problem("", "_meta/config.yaml is not the configuration of the manifest")
    except (KeyError, TypeError) as error:
        yield Problem("", f"_meta/manifest.json is no manifest: {error!r}")


def _without_resources(config: Any) -> Any:
    """What decides the bytes: where and how fast stages run is no part of it."""
    stages = config.get("stages") if isinstance(config, dict) else None
    if not (isinstance(stages, dict) and all(isinstance(stage, dict) for stage in stages.values())):
        return config
    kept = {
        name: {key: value for key, value in stage.items() if key != "resources"}
        for name, stage in stages.items()
    }
    return {**config, "stages": kept}


def _read(root: Place, name: str, parse: Callable[[bytes], Any]) -> tuple[Any, Problem | None]:
    try:
        return parse((meta_folder(root) / name).read_bytes()), None
    except FileNotFoundError:
        return None, Problem("", f"_meta/{name} is missing")
    except (OSError, ValueError, yaml.YAMLError) as error:
        return None, Problem("", f"_meta/{name} is unreadable: {' '.join(str(error).split())}")


def check_list(root: Place, listings: list[dict[str, Any]]) -> Iterator[Problem]:
    """Whether `shards.json` lists the shards as they are.

    Args:
        root: of the dataset.
        listings: each shard's entry as it should be; empty where the shard cannot be read.
    """
    path = shards_path(root)
    try:
        listed = {str(entry["url"]): entry for entry in parse_json(path.read_bytes())}
    except FileNotFoundError:
        yield Problem("", f"{below(path, root)} is missing; the same build again writes it")
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield Problem("", f"{below(path, root)} is unreadable: {error!r}")
        return
    found = {entry["url"]: entry for entry in listings if entry}
    for url in sorted({*listed, *found}):
        if listed.get(url) != found.get(url):
            yield Problem("", f"{below(path, root)} and the shard do not agree on {url}")


def read_index(root: Place) -> tuple[dict[int, int] | None, list[Problem]]:
    """Which row group of `index.parquet` is each shard's, by the keys in it; None if it cannot be read."""
    path = index_path(root)
    try:
        with open_parquet(path) as index:
            groups = range(index.num_row_groups)
            keys = [index.read_row_group(group, columns=["key"])["key"].to_pylist()[:1] for group in groups]
        return {place_of(key[0])[0]: group for group, key in enumerate(keys) if key}, []
    except FileNotFoundError:
        return None, [Problem("", f"{below(path, root)} is missing; the same build again writes it")]
    except (OSError, ValueError, IndexError, KeyError, TypeError, pa.ArrowException) as error:
        return None, [Problem("", f"{below(path, root)} is unreadable: {error}")]


@dataclass(frozen=True, slots=True)
class Indexed:
    """Where the rows of a shard are in the index."""

    index: Place
    """The file with all shards' rows."""
    group: int
    """Which of its row groups is the shard's; -1 if none is."""
    replaced: frozenset[str]
    """Keys of rows that are not in it, because a later shard has newer ones."""


def check_indexed(files: ShardFiles, where: Indexed) -> Iterator[str]:
    """Whether a shard's newest rows are in the index as they are in its parquet, less what that leaves out.

    Args:
        files: the shard's.
        where: its rows should be.
    """
    index = where.index
    try:
        with open_parquet(index) as all_rows, open_parquet(files.parquet) as own:
            columns = [all_rows.schema.column(number).path for number in range(len(all_rows.schema))]
            rows = own.read(columns=columns)
            keep = [key not in where.replaced for key in rows["key"].to_pylist()]
            rows = rows.filter(pa.array(keep, pa.bool_()))
            if where.group < 0 and rows.num_rows:
                yield f"its rows are not in {index.name}"
            elif where.group >= 0 and not all_rows.read_row_group(where.group).equals(rows):
                yield f"the rows in {index.name} are not those of {files.parquet.name}"
    except FileNotFoundError:
        return
    except (OSError, pa.ArrowException) as error:
        yield f"its rows in {index.name} are unreadable: {error}"
