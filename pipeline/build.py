# SPDX-License-Identifier: Apache-2.0
"""A build from beginning to end: list the source, run what is missing, finish the dataset."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.config import BuildConfig
from pipeline.errors import UserError
from pipeline.manifest import claim, identity_of
from pipeline.operators import Operator, operators
from pipeline.progress import watched
from pipeline.run_local import run_local
from pipeline.run_ray import RayOptions, run_ray
from pipeline.shard_reader import ShardReader
from pipeline.sources import open_source, other_files
from pipeline.sources.shards import listing_digest, shard_count, write_listing


@dataclass(frozen=True, slots=True)
class Job:
    """A checked build: nothing has been computed yet."""

    root: Path
    fingerprint: str
    chain: list[Operator]
    read: ShardReader
    shards: int
    todo: list[int]
    items: int
    ignored: int
    """Files of the input that are nothing the source can use."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did."""

    shards: int
    images: int
    """Images that this run computed; 0 if all was there."""
    seconds: float


def prepare(config: BuildConfig, source: str, output: Path, limit: int | None = None) -> Job:
    """List the source, claim the output folder and find out which shards are missing.

    Raises:
        UserError: bad input, missing weights, or an output folder that is not this run's.
    """
    from pipeline.dataset.layout import committed_shards

    origin = open_source(source, config.source.kind, config.source.image_column)
    listing = origin.listing()
    if limit is not None:
        listing = listing.slice(0, limit)
    identity = identity_of(config, listing_digest(listing))
    about = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": source,
        "items": listing.num_rows,
    }
    mark = claim(output, identity, about)
    place = output / "_meta" / "source.parquet"
    if not place.exists():
        partial = place.with_suffix(".partial")
        write_listing(listing, partial, config.shard_size)
        partial.replace(place)
    stages = dict(config.stages)
    stages["write"] = replace(stages["write"], folder=str(output.resolve()))  # pyright: ignore[reportCallIssue]
    shards = shard_count(listing.num_rows, config.shard_size)
    done = {shard.number for shard in committed_shards(output)}
    return Job(
        root=output,
        fingerprint=mark,
        chain=operators(stages),
        read=ShardReader(origin, place.resolve()),
        shards=shards,
        todo=[shard for shard in range(shards) if shard not in done],
        items=listing.num_rows,
        ignored=other_files(listing),
    )


def execute(job: Job, executor: str, ray: RayOptions) -> Outcome:
    """Run the missing shards.

    Raises:
        UserError: if the executor is unknown, the cluster too small, or weights cannot be loaded.
    """
    started = time.monotonic()
    images = sum(
        row["rows"]
        for table in watched(_receipts(job, executor, ray), len(job.todo))
        for row in table.to_pylist()
    )
    return Outcome(len(job.todo), images, time.monotonic() - started)


def _receipts(job: Job, executor: str, ray: RayOptions) -> Iterator[pa.Table]:
    runners: dict[str, Any] = {
        "local": lambda: run_local(job.read, job.chain, job.todo),
        "ray": lambda: run_ray(job.read, job.chain, job.todo, ray),
    }
    if executor not in runners:
        raise UserError(f"--executor {executor}: expected {' or '.join(runners)}")
    return runners[executor]()


def finish(root: Path) -> Path:
    """Write index, card and report; returns the report's path."""
    from pipeline.dataset.finish import finish_dataset
    from pipeline.report import write_report

    finish_dataset(root)
    return write_report(root)


def summary(root: Path) -> list[str]:
    """What the dataset holds, as lines: counts, rejects by reason, images a second by stage."""
    from pipeline.dataset.layout import all_shards
    from pipeline.dataset.timings import images_per_second
    from pipeline.dataset.totals import totals

    found = totals(all_shards(root))
    rates = " · ".join(f"{stage} {rate:.0f}" for stage, rate in images_per_second(root).items())
    return [
        f"images in    {found.rows}",
        f"samples out  {found.samples}",
        f"rejected     {found.rejected}, errors {found.errors}",
        *(
            f"  {stage}: {reason}  {count}"
            for stage, reasons in found.reasons.items()
            for reason, count in reasons.most_common()
        ),
        f"instances    {found.instances}",
        f"images/s     {rates}  (one worker of each stage)",
    ]
