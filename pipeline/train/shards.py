# SPDX-License-Identifier: Apache-2.0
"""Access to any sample of a dataset by the place of its shard and of its row."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.layout import committed_shards
from pipeline.dataset.newer import Replaced, newest, replaced_rows
from pipeline.dataset.shard_table import shard_table
from pipeline.dataset.totals import all_stats
from pipeline.errors import UserError
from pipeline.sources.tar_index import index_tar
from pipeline.train.order import Place as SamplePlace
from stages.columns import OFFSETS, OK, SCHEMA_VERSION
from stages.shard.files import ShardFiles
from stages.shard.place import Place

MEMBERS = ("jpg", "json", "png", "txt")
_OPEN = 16
"""Shards whose offsets are kept: more than an order's block has."""
Ranges = dict[str, tuple[int, int]]
"""Offset and size in the tar of each of a sample's members."""


class Shards(Protocol):
    """Samples of a dataset, whatever its layout."""

    @property
    def sizes(self) -> Sequence[int]:
        """Samples of each shard."""
        ...

    def read(self, place: SamplePlace) -> dict[str, bytes]:
        """A sample's members by extension.

        Raises:
            OSError: the tar cannot be read.
        """
        ...

    def name(self, place: SamplePlace) -> str:
        """The sample's, for messages."""
        ...


class DatasetShards:
    """A dataset of this project: samples that are `ok`, and of retried ones the newest row.

    Of all shards only the number of their samples is kept; offsets are read as shards are come to.
    """

    def __init__(self, root: Place, split: str = "train") -> None:
        """
        Args:
            root: of the dataset.
            split: of it.

        Raises:
            UserError: there is no such dataset, or its shards are damaged or of another schema.
        """
        self._shards = committed_shards(root, split) if root.is_dir() else []
        if not self._shards:
            raise UserError(
                f"{root} has no shard of split {split}; give a folder that `subjectforge build` made"
            )
        self._replaced = replaced_rows(root)
        self.sizes = _sizes(root, self._shards, self._replaced)
        self._ranges = lru_cache(maxsize=_OPEN)(self._read_ranges)

    def read(self, place: SamplePlace) -> dict[str, bytes]:
        """See `Shards.read`."""
        shard = self._shards[place.shard]
        offsets = self._ranges(place.shard)[place.row]
        return _read(shard.tar, dict(zip(MEMBERS, offsets.reshape(-1, 2).tolist(), strict=True)))

    def name(self, place: SamplePlace) -> str:
        """See `Shards.name`."""
        return f"{self._shards[place.shard].tar} row {place.row} of the samples"

    def _read_ranges(self, number: int) -> np.ndarray:
        """Offset and size of each member of each sample, int64 (samples, 8)."""
        shard = self._shards[number]
        rows = _samples(shard, self._replaced, OFFSETS.names)
        return np.stack([rows[name].to_numpy() for name in OFFSETS.names], axis=1).astype(np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept for later, which cannot be sent to another process."""
        return {name: value for name, value in self.__dict__.items() if name != "_ranges"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing kept."""
        self.__dict__.update(state)
        self._ranges = lru_cache(maxsize=_OPEN)(self._read_ranges)


def _sizes(root: Place, shards: Sequence[ShardFiles], replaced: Replaced) -> list[int]:
    sizes = []
    for shard, stats in zip(shards, all_stats(shards), strict=True):
        version = stats.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UserError(f"{shard.stats} is of schema {version}, not {SCHEMA_VERSION}; build {root} anew")
        count = stats["successes"]
        if replaced.get(shard.number):
            count = _samples(shard, replaced, ["key"]).num_rows
        sizes.append(int(count))
    return sizes


def _samples(shard: ShardFiles, replaced: Replaced, columns: Sequence[str]) -> pa.Table:
    """The rows of a shard that are samples, and whose item has no newer row."""
    with shard_table(shard) as file:
        rows = file.read(columns=[*{"key", "status", *columns}])
    rows = newest(rows, replaced.get(shard.number, ()))
    return rows.filter(pc.equal(rows["status"], OK))  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True, slots=True)
class _Tar:
    path: Place
    samples: tuple[Ranges, ...]
    keys: tuple[str, ...]


class OfficialShards:
    """Tars in the layout of the official code, which have no index: their headers are read once."""

    def __init__(self, folder: Place) -> None:
        """
        Args:
            folder: with the tars.

        Raises:
            UserError: there is no tar with a sample, or one is broken.
        """
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".tar") if folder.is_dir() else []
        self._tars = [_indexed(path) for path in paths]
        self.sizes = [len(tar.samples) for tar in self._tars]
        if not sum(self.sizes):
            raise UserError(f"{folder} has no tar with a jpg and a json under the same name")

    def read(self, place: SamplePlace) -> dict[str, bytes]:
        """See `Shards.read`."""
        tar = self._tars[place.shard]
        return _read(tar.path, tar.samples[place.row])

    def name(self, place: SamplePlace) -> str:
        """See `Shards.name`."""
        tar = self._tars[place.shard]
        return f"{tar.path}/{tar.keys[place.row]}"


def _indexed(path: Place) -> _Tar:
    with path.open("rb") as stream:
        index = index_tar(stream, path.stat().st_size)  # pyright: ignore[reportArgumentType]
    if index.broken:
        raise UserError(f"{path} is broken: {index.broken}; restore it, or take it away")
    samples = {key: {m.ext: (m.offset, m.size) for m in members} for key, members in index.samples}
    whole = {key: ranges for key, ranges in samples.items() if {"jpg", "json"} <= ranges.keys()}
    return _Tar(path, tuple(whole.values()), tuple(whole))


def _read(path: Place, ranges: Ranges) -> dict[str, bytes]:
    found = {}
    with path.open("rb") as stream:
        for member, (offset, size) in ranges.items():
            stream.seek(offset)
            data = stream.read(size)
            if len(data) != size:
                raise OSError(f"{path}: {size} bytes expected at byte {offset}, {len(data)} found")
            found[member] = data
    return found
