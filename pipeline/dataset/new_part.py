# SPDX-License-Identifier: Apache-2.0
"""Writing a part of a dataset: the listing of what its shards are to hold. See `pipeline.dataset.parts`."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from pipeline.dataset.layout import source_folder
from pipeline.dataset.parts import ABOUT, Part, read_part
from pipeline.sources.base import LISTING
from pipeline.sources.shards import shard_slice, write_row_groups
from stages.shard.commit import rewrite
from stages.shard.place import Place


def write_part(root: Place, first: int, listing: pa.Table, shard_size: int, about: Mapping[str, Any]) -> Part:
    """Plan shards from number `first` on: from then on they are missing until they are committed."""
    metadata = {ABOUT: json.dumps(about, sort_keys=True)}
    path = source_folder(root) / f"{first:05d}.parquet"
    slices = _slices(listing, shard_size)
    rewrite(path, lambda stream: write_row_groups(slices, stream, LISTING.with_metadata(metadata)))
    return read_part(path)


def restated(part: Part, about: Mapping[str, Any]) -> Part:
    """The same part with something else said about it."""
    metadata = {ABOUT: json.dumps(about, sort_keys=True)}
    rows = part.all_rows()
    rewrite(part.listing, lambda stream: write_row_groups(rows, stream, LISTING.with_metadata(metadata)))
    return read_part(part.listing)


def _slices(listing: pa.Table, shard_size: int) -> Iterator[pa.Table]:
    for shard in range(-(-listing.num_rows // shard_size)):
        yield listing[shard_slice(shard, shard_size)]
