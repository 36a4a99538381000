# SPDX-License-Identifier: Apache-2.0
"""A build that is checked and has its output folder, before anything is computed."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from pipeline.config import BuildConfig
from pipeline.dataset.layout import committed_shards, is_whole, source_path
from pipeline.errors import UserError
from pipeline.manifest import check_claim, claim, identity_of
from pipeline.operators import Operator, operators
from pipeline.shard_reader import ShardReader
from pipeline.sources import Source, open_source, other_files
from pipeline.sources.shards import holds_listing, listing_digest, shard_count, write_listing
from pipeline.wording import counted
from stages.shard.commit import rewrite
from stages.shard.files import ShardFiles
from stages.write import Write, refused


@dataclass(frozen=True, slots=True)
class Job:
    """A checked build: nothing has been computed yet."""

    root: Path
    split: str
    fingerprint: str
    chain: list[Operator]
    read: ShardReader
    shards: int
    todo: list[int]
    items: int
    ignored: int
    """Files of the input that are nothing the source can use."""
    damaged: int
    """Committed shards whose files were not as they should be; they are to do."""

    def line(self) -> str:
        """What is done and to do, for people."""
        of = f"{counted(self.items, 'image')} in {counted(self.shards, 'shard')}"
        return f"{of}: {self.shards - len(self.todo)} done, {len(self.todo)} to do"


def prepare(config: BuildConfig, source: str, output: Path, limit: int | None = None) -> Job:
    """List the source, claim the output folder and find out which shards are missing.

    Raises:
        UserError: bad input, missing weights, or an output folder that is not this run's.
    """
    origin, listing = listed(config, source, output, limit)
    identity = identity_of(config, listing_digest(listing))
    place = source_path(output)
    # The listing of a run that never got to a shard may be there, and be as long.
    ours = check_claim(output, identity)
    mark = claim(output, identity, {"created": _now(), "input": source, "items": listing.num_rows})
    if not (ours and holds_listing(place, listing, config.shard_size)):
        try:
            rewrite(place, lambda stream: write_listing(listing, stream, config.shard_size))
        except OSError as error:
            raise UserError(refused("the source listing", output, error)) from error
    stages = dict(config.stages)
    stages["write"] = replace(stages["write"], folder=str(output.resolve()))  # pyright: ignore[reportCallIssue]
    shards = shard_count(listing.num_rows, config.shard_size)
    done, damaged = _sorted_out(committed_shards(output, split_of(config)))
    return Job(
        root=output,
        split=split_of(config),
        fingerprint=mark,
        chain=operators(stages),
        read=ShardReader(origin, place.resolve()),
        shards=shards,
        todo=[shard for shard in range(shards) if shard not in done],
        items=listing.num_rows,
        ignored=other_files(listing),
        damaged=damaged,
    )


def listed(
    config: BuildConfig, source: str, output: Path | None, limit: int | None
) -> tuple[Source, pa.Table]:
    """The source, and the listing of what is to be built from it.

    Raises:
        UserError: bad input, or an output folder inside of it.
    """
    origin = open_source(source, config.source.kind, config.source.image_column)
    folder = origin.location.local_folder()
    if folder is not None and output is not None and output.resolve().is_relative_to(folder):
        raise UserError(f"--output {output} lies inside --input {source}: its files would be input; move it")
    listing = origin.listing()
    return origin, listing if limit is None else listing.slice(0, limit)


def _sorted_out(committed: list[ShardFiles]) -> tuple[set[int], int]:
    """The numbers of whole shards, and how many were not: those lose their mark, and are to be built."""
    whole = [shard for shard in committed if is_whole(shard)]
    for shard in set(committed) - set(whole):
        try:
            shard.stats.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot remove {shard.stats}, whose shard is damaged: {error.strerror}"
            ) from error
    return {shard.number for shard in whole}, len(committed) - len(whole)


def split_of(config: BuildConfig) -> str:
    """The split that a configuration writes."""
    write = config.stages["write"]
    assert isinstance(write, Write)
    return write.split


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
