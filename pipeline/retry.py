# SPDX-License-Identifier: Apache-2.0
"""Making chosen rows of a dataset anew: a part of its own, whose rows take the place of the older ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.config import BuildConfig, load_config
from pipeline.dataset.finish import unseal
from pipeline.dataset.layout import committed_shards, config_path, is_finished
from pipeline.dataset.new_part import restated, write_part
from pipeline.dataset.newer import newest, replaced_rows
from pipeline.dataset.parts import RETRY, Part, known_parts, next_shard
from pipeline.errors import UserError
from pipeline.extension import renewed
from pipeline.job import Job, job_of, split_of
from pipeline.manifest import changes, identity_of, known_identity
from pipeline.remaining import shown
from pipeline.sources import LISTING, Source
from pipeline.sources.digest import source_digest
from pipeline.survey import opened
from stages.columns import ERROR, OK
from stages.shard.files import place_of
from stages.shard.place import Place
from stages.write import refused

COLUMNS = ("status", "stage", "reason", "source_key", "key")
"""What rows can be chosen by."""


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """What a person asks for."""

    root: Place
    where: tuple[str, ...]
    """`column=value`, all of which must hold."""
    source: str | None = None
    """Where the input is now, if it has moved or needs credentials."""
    overrides: tuple[str, ...] = ()
    accept_changes: bool = False
    """Whether another configuration, code version or weights than the dataset's may make the rows."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A request that is checked."""

    root: Place
    where: Mapping[str, str]
    config: BuildConfig
    origin: Source
    identity: dict[str, Any]
    """What will make the rows."""
    accept_changes: bool

    def job(self, part: Part) -> Job:
        """What is to do about a part."""
        return job_of(self.root, self.config, self.origin, [part])

    def about(self, digest: str) -> dict[str, Any]:
        """What its part says about itself; `digest` is the source's."""
        return {"kind": RETRY, "where": dict(self.where), "identity": self.identity, "source": digest}


def checked(request: RetryRequest) -> Retry:
    """Read the dataset's own configuration and open its source; writes nothing.

    Raises:
        UserError: no dataset, a condition that cannot be, missing weights or input, or other configuration,
            code or weights than those that made the dataset.
    """
    where, known = conditions(request.where), known_identity(request.root)
    config = load_config(config_path(request.root), request.overrides)
    identity = identity_of(config)
    if not request.accept_changes and (changed := changes(known, identity)):
        raise UserError(
            f"{request.root} was made otherwise; changed since: {changed}; undo that, or give "
            "--accept-changes to make the rows as things are now"
        )
    inputs = {part.about.get("input") for part in known_parts(request.root) if part.kind != RETRY}
    if request.source is None and (len(inputs) > 1 or None in inputs):
        raise UserError(
            f"{request.root} was made from several inputs; give --input, and a --where that fits it"
        )
    origin = opened(config, request.source or str(inputs.pop()), request.root)
    return Retry(request.root, where, config, origin, identity, request.accept_changes)


def begin_retry(retry: Retry) -> Job | None:
    """Plan a retry, or find one that was not finished; None if no row is meant.

    Raises:
        UserError: another retry is unfinished, or the dataset's listings or shards cannot be read.
    """
    parts = known_parts(retry.root)
    try:
        for part in (part for part in parts if part.kind == RETRY):
            if (job := retry.job(part)).todo or (part == parts[-1] and _lacks_its_end(retry, part)):
                return _gone_on_with(retry, part, job)
        listing = pa.concat_tables([LISTING.empty_table(), *_chosen(retry, parts)])
        if not listing.num_rows:
            return None
        digest = source_digest(retry.origin)
        if _is_another(digest, parts):
            listing = renewed(listing, retry.origin.listing())
        unseal(retry.root)
        part = write_part(
            retry.root, next_shard(parts), listing, retry.config.shard_size, retry.about(digest)
        )
    except OSError as error:
        raise UserError(refused("the listing of what to retry", retry.root, error)) from error
    return retry.job(part)


def _is_another(digest: str, parts: Sequence[Part]) -> bool:
    """Whether the source is not what it was when it was listed last."""
    builds = [part for part in parts if part.kind != RETRY][-1:]
    retries = [part for part in parts if part.kind == RETRY]
    return any(part.about.get("source") != digest for part in (*builds, *retries))


def _lacks_its_end(retry: Retry, part: Part) -> bool:
    """Whether a retry that is asked for again made its rows, but did not get to finish the dataset."""
    return part.about.get("where") == retry.where and not is_finished(retry.root)


def _gone_on_with(retry: Retry, part: Part, job: Job) -> Job:
    """The job of an unfinished retry, if it is the one that is asked for."""
    if part.about.get("where") != retry.where:
        raise UserError(
            f"{retry.root}: an earlier retry ({shown(part)}) is not finished; run that again first"
        )
    begun = part.about.get("identity", {})
    if changed := changes(begun, retry.identity):
        if not retry.accept_changes:
            raise UserError(
                f"{retry.root}: this retry was begun otherwise; changed since: {changed}; undo that, or give "
                "--accept-changes to make the rest as things are now"
            )
        earlier = [*part.about.get("earlier", []), begun]
        unseal(retry.root)
        job = retry.job(restated(part, {**part.about, "identity": retry.identity, "earlier": earlier}))
    unseal(retry.root)
    job.forget_damaged()
    return job


def conditions(where: Sequence[str]) -> dict[str, str]:
    """`status=error` and the like as column and value; rows that are `ok` cannot be meant.

    Raises:
        UserError: an unknown column, or a condition without a value.
    """
    found = {"status": "error"} if not any(each.startswith("status=") for each in where) else {}
    for each in where:
        column, separator, value = each.partition("=")
        if not separator or column not in COLUMNS or not value:
            raise UserError(f"--where {each}: expected COLUMN=VALUE, with COLUMN one of {', '.join(COLUMNS)}")
        if column in found and any(other.startswith(f"{column}=") for other in where if other != each):
            raise UserError(f"--where {each}: '{column}' is given twice, and no row has both values")
        found[column] = value
    if found["status"] not in ("error", "rejected"):
        raise UserError(
            f"--where status={found['status']}: only rows with status error or rejected are retried"
        )
    return found


def _chosen(retry: Retry, parts: Sequence[Part]) -> Iterator[pa.Table]:
    """Of each shard, the listing of the rows that are meant, with the keys that they replace."""
    replaced = replaced_rows(retry.root)
    for shard in committed_shards(retry.root, split_of(retry.config)):
        try:
            with shard.parquet.open("rb") as stream:
                rows = pq.read_table(stream, columns=list(COLUMNS))
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{shard.parquet} cannot be read ({error}); run the build again first") from error
        rows = newest(rows, replaced.get(shard.number, ()))
        for column, value in retry.where.items():
            rows = rows.filter(pc.equal(rows[column], value))  # pyright: ignore[reportAttributeAccessIssue]
        if rows.num_rows:
            part = next(part for part in parts if shard.number in part.numbers)
            yield _again(part.rows(shard.number), rows["key"].to_pylist())


def _again(listing: pa.Table, keys: list[str]) -> pa.Table:
    items = listing.take([place_of(key)[1] for key in keys]).to_pylist()
    for item, key in zip(items, keys, strict=True):
        item["replaces"] = key
        # A file that could not be opened when it was listed may be right by now.
        if item["status"] == ERROR and (item["members"] or item["row"] is not None):
            item.update(status=OK, reason=None, detail=None)
    return pa.Table.from_pylist(items, LISTING)
