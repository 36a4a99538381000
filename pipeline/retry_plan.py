# SPDX-License-Identifier: Apache-2.0
"""Making chosen rows of a dataset anew: a part of its own, whose rows take the place of the older ones."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.layout import committed_shards, digests_path, split_folder
from pipeline.dataset.new_part import restated, write_part
from pipeline.dataset.newer import newest, replaced_rows
from pipeline.dataset.parts import RETRY, Part, known_parts, next_shard
from pipeline.dataset.sealed import unseal
from pipeline.dataset.shard_table import damaged, shard_table
from pipeline.errors import UserError
from pipeline.extension import renewed
from pipeline.job import Job, split_of
from pipeline.lease import Left
from pipeline.manifest import changes
from pipeline.remaining import shown
from pipeline.retry import COLUMNS, Retry
from pipeline.sources import LISTING
from pipeline.sources.base import BROKEN
from pipeline.sources.digest import source_digest
from pipeline.wording import counted
from stages.columns import ERROR, OK
from stages.shard.files import ShardFiles, place_of
from stages.write import refused


def begin_retry(retry: Retry, left: Left, tell: Callable[[str], object] = print) -> Job | None:
    """Plan a retry, or find one that was not finished; None if no row is meant.

    A retry that was planned, and of which no shard is there, is planned anew.

    Args:
        retry: what is asked for.
        left: what the last run in the folder has left behind.
        tell: gets a line for people about a retry that is planned anew.

    Raises:
        UserError: another retry is unfinished, or the dataset's listings or shards cannot be read.
    """
    parts = known_parts(retry.root)
    try:
        for part in (part for part in parts if part.kind == RETRY):
            job = retry.job(part)
            if part == parts[-1] and job.todo == [*part.numbers] and not job.damaged:
                tell(f"an earlier retry ({shown(part)}), of which no shard is there, gives way to this one")
                _forget(retry, part)
                return _planned(retry, parts[:-1], tell)
            if job.todo:
                return _gone_on_with(retry, part, job)
        if _lacks_its_end(retry, parts[-1], left):
            return retry.job(parts[-1])
        return _planned(retry, parts, tell)
    except OSError as error:
        raise UserError(refused("the listing of what to retry", retry.root, error)) from error


def _forget(retry: Retry, part: Part) -> None:
    """Take away a part of which no shard is there, and what its shards left."""
    # The index may still have its rows.
    unseal(retry.root)
    folder = split_folder(retry.root, split_of(retry.config))
    for number in part.numbers:
        for path in (ShardFiles(folder, number).tar, ShardFiles(folder, number).parquet):
            path.unlink(missing_ok=True)
    part.listing.unlink()


def _planned(retry: Retry, parts: Sequence[Part], tell: Callable[[str], object]) -> Job | None:
    meant = pa.concat_tables([LISTING.empty_table(), *_chosen(retry, parts)])
    # They stand for what nobody could list, so there is nothing to work on.
    breaks = pc.ends_with(meant["source_key"], BROKEN)  # pyright: ignore[reportAttributeAccessIssue]
    listing = meant.filter(pc.invert(breaks))  # pyright: ignore[reportAttributeAccessIssue]
    if told := meant.num_rows - listing.num_rows:
        tell(
            f"{counted(told, 'row')} of where files break off left out: once the files are mended, "
            "the build with --extend adds what lies behind"
        )
    if not listing.num_rows:
        return None
    digest = source_digest(retry.origin)
    if _is_another(digest, parts) or {*listing["path"].to_pylist()} & _broken_once(parts):
        listing = renewed(listing, retry.origin.listing())
    unseal(retry.root)
    part = write_part(retry.root, next_shard(parts), listing, retry.config.shard_size, retry.about(digest))
    return retry.job(part)


def _is_another(digest: str, parts: Sequence[Part]) -> bool:
    """Whether the source is not what it was when it was listed last."""
    builds = [part for part in parts if part.kind != RETRY][-1:]
    retries = [part for part in parts if part.kind == RETRY]
    return any(part.about.get("source") != digest for part in (*builds, *retries))


def _broken_once(parts: Sequence[Part]) -> set[str]:
    """Files that broke off when they were listed: rows may have been listed without what lay behind."""
    listed = (rows for part in parts for rows in part.all_rows(["source_key", "path"]))
    ends = (rows.filter(pc.ends_with(rows["source_key"], BROKEN)) for rows in listed)  # pyright: ignore[reportAttributeAccessIssue]
    return {path for rows in ends for path in rows["path"].to_pylist()}


def _lacks_its_end(retry: Retry, part: Part, left: Left) -> bool:
    """Whether the last part is this retry, whose rows are there, and whose run did not come to its end.

    A run that died before it had planned anything was at none, whatever it had begun to take away.
    """
    unfinished = left.retry == part.first if left.died else not digests_path(retry.root).is_file()
    return part.kind == RETRY and part.about.get("where") == retry.where and unfinished


def _gone_on_with(retry: Retry, part: Part, job: Job) -> Job:
    """The job of a retry that lacks shards, if it is the one that is asked for."""
    if part.about.get("where") != retry.where:
        raise UserError(
            f"{retry.root}: an earlier retry ({shown(part)}) is not finished; run that again first"
        )
    about, begun = dict(part.about), part.about.get("identity", {})
    if changed := changes(begun, retry.identity):
        if not retry.accept_changes:
            raise UserError(
                f"{retry.root}: this retry was begun otherwise; changed since: {changed}; undo that, or give "
                "--accept-changes to make the rest as things are now"
            )
        about |= {"identity": retry.identity, "earlier": [*about.get("earlier", []), begun]}
    unseal(retry.root)
    digest = source_digest(retry.origin)
    if about.get("source") != digest:
        rows = renewed(pa.concat_tables(part.all_rows()), retry.origin.listing())
        about["source"] = digest
        part = write_part(retry.root, part.first, rows, retry.config.shard_size, about)
    elif about != part.about:
        part = restated(part, about)
    job = retry.job(part)
    job.forget_damaged()
    return job


def _chosen(retry: Retry, parts: Sequence[Part]) -> Iterator[pa.Table]:
    """Of each shard, the listing of the rows that are meant, with the keys that they replace."""
    replaced = replaced_rows(retry.root)
    for shard in committed_shards(retry.root, split_of(retry.config)):
        with shard_table(shard) as file:
            rows = file.read(columns=list(COLUMNS))
        rows = newest(rows, replaced.get(shard.number, ()))
        for column, value in retry.where.items():
            rows = rows.filter(pc.equal(rows[column], value))  # pyright: ignore[reportAttributeAccessIssue]
        if rows.num_rows:
            part = next(part for part in parts if shard.number in part.numbers)
            listing, keys = part.rows(shard.number), rows["key"].to_pylist()
            try:
                yield _again(listing, keys)
            except (ValueError, IndexError) as error:
                raise damaged(shard, "its keys are not those of its rows") from error


def _again(listing: pa.Table, keys: list[str]) -> pa.Table:
    items = listing.take([place_of(key)[1] for key in keys]).to_pylist()
    for item, key in zip(items, keys, strict=True):
        item["replaces"] = key
        # A file that could not be opened when it was listed may be right by now.
        if item["status"] == ERROR and (item["members"] or item["row"] is not None):
            item.update(status=OK, reason=None, detail=None)
    return pa.Table.from_pylist(items, LISTING)
