# SPDX-License-Identifier: Apache-2.0
"""From what a person asks for to a job: what is there, what may be done about it, what has to be planned."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa

from pipeline.clear import clear_dataset, clear_listings
from pipeline.config import BuildConfig, resolved
from pipeline.dataset.layout import config_path, meta_folder, source_folder
from pipeline.dataset.new_part import restated, write_part
from pipeline.dataset.parts import (
    BUILD,
    EXTEND,
    RETRY,
    Part,
    known_parts,
    next_shard,
)
from pipeline.dataset.sealed import check_sealed, check_sealed_listings, unseal
from pipeline.dataset.special import refuse_special
from pipeline.errors import UserError
from pipeline.extension import mended, new_items
from pipeline.job import Job, job_of
from pipeline.manifest import check_claim, claim, identity_of, write_config
from pipeline.source_changes import source_changes
from pipeline.sources import Source, open_source, other_files
from pipeline.sources.digest import Reckoned, source_digest
from pipeline.takeover import naming_who_writes
from stages.parse import parse_json
from stages.shard.place import Place
from stages.shard.uri import plain_name
from stages.write import refused


class Way(StrEnum):
    """What to do about a dataset that is there."""

    resume = "resume"
    """Go on with it if it is this build's, refuse if it is another's."""
    extend = "extend"
    """The same, and items that the source got since then become new shards."""
    overwrite = "overwrite"
    """Go on with it if it is this build's; remove it and begin anew if it is another's."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for."""

    config: BuildConfig
    source: str | Source
    """What to open, or what is opened already."""
    root: Place
    limit: int | None = None
    way: Way = Way.resume


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a build finds before it writes anything."""

    request: Request
    origin: Source
    digest: str
    identity: dict[str, Any]
    parts: tuple[Part, ...]
    """What is planned already; empty if the folder is not this build's yet."""
    relist: bool = False
    """Whether the folder is this build's, and only its listing is lost."""
    mended: bool = False
    """Whether files that were broken when they were listed are whole now."""

    @property
    def planned(self) -> bool:
        """Whether nothing has to be listed before work can begin."""
        return bool(self.parts) and not self.grown

    @property
    def grown(self) -> bool:
        """Whether the source, or the limit, is another one than when the last part was planned."""
        if not self.parts:
            return False
        about = self.parts[-1].about
        return self.mended or (about.get("source"), about.get("limit")) != (self.digest, self.wanted)

    @property
    def wanted(self) -> int | None:
        """How many of the known items are asked for; None for all."""
        limit, available = self.request.limit, self.parts[-1].about.get("available", 0)
        return limit if limit is not None and limit < available else None

    def job(self) -> Job:
        """What is to do about what is planned."""
        return job_of(self.request.root, self.request.config, self.origin, self.parts)


def survey(request: Request) -> Outlook:
    """Open the source and look at the output folder; writes nothing.

    Raises:
        UserError: bad input, missing weights, or an output folder that is not this run's.
    """
    refuse_special(request.root)
    origin = opened(request.config, request.source, request.root)
    outlook = Outlook(request, origin, source_digest(origin), identity_of(request.config), ())
    return _with_parts(outlook, check=request.way == Way.overwrite)


def begin(outlook: Outlook) -> Job:
    """Make the output folder this build's, and plan what is not planned yet.

    Raises:
        UserError: the source cannot be listed, old items of it are gone, or the folder cannot be written.
    """
    # The folder may have changed while its lease was waited for.
    outlook = _with_parts(outlook, check=True)
    try:
        job = _planned_job(outlook)
        unseal(outlook.request.root)
    except OSError as error:
        raise UserError(refused("what is planned", outlook.request.root, error)) from error
    job.forget_damaged()
    return job


def _planned_job(outlook: Outlook) -> Job:
    request, parts = outlook.request, outlook.parts
    if not parts:
        # Before anything is removed: a source that cannot be listed costs nothing.
        listing = outlook.origin.listing()
        unseal(request.root)
        if request.way == Way.overwrite and not outlook.relist:
            clear_dataset(request.root)
        clear_listings(request.root)
        about = {"created": _now(), "input": outlook.origin.location.name, "listed": _listed(outlook)}
        claim(request.root, outlook.identity, about, resolved(request.config))
        parts = (_planned(outlook, listing),)
        # Raises where shards of another listing that was lost lie beyond this one.
        known_parts(request.root)
    elif outlook.grown:
        parts = _extended(outlook, parts)
    if not config_path(request.root).is_file():
        write_config(request.root, resolved(request.config))
    return job_of(request.root, request.config, outlook.origin, parts)


def opened(config: BuildConfig, source: str | Source, root: Place | None) -> Source:
    """The source of a build.

    Raises:
        UserError: bad input, or an output folder inside of it.
    """
    if not isinstance(source, str):
        return source
    origin = open_source(source, config.source.kind, config.source.image_column)
    if root is not None and origin.location.holds(root):
        shown = plain_name(source)
        raise UserError(f"--output {root} lies inside --input {shown}: its files would be input; move it")
    return origin


def _with_parts(outlook: Outlook, check: bool) -> Outlook:
    """The outlook with what the folder holds now; refuses what must not be gone on with.

    Args:
        outlook: as far as it is known.
        check: read what is known of the build, not only its footers.
    """
    root, anew = outlook.request.root, outlook.request.way == Way.overwrite
    try:
        return _gone_on_with(outlook, check)
    except UserError:
        if not anew:
            raise
    # Any dataset may be overwritten, and nothing else.
    check_claim(root, outlook.identity, overwrite=True)
    return replace(outlook, parts=(), relist=False)


def _gone_on_with(outlook: Outlook, check: bool) -> Outlook:
    request = outlook.request
    if not check_claim(request.root, outlook.identity):
        return replace(outlook, parts=())
    if check:
        check_sealed(request.root)
    try:
        if check:
            check_sealed_listings(request.root)
        with naming_who_writes(request.root):
            parts = tuple(part for part in known_parts(request.root) if part.kind != RETRY)
    except UserError:
        if request.way == Way.overwrite or not _can_list_again(outlook):
            raise
        return replace(outlook, parts=(), relist=True)
    if request.way == Way.overwrite and check:
        _read_through(parts)
    outlook = replace(outlook, parts=parts)
    if request.way == Way.extend and not outlook.grown:
        # Downloads that were cut off inside have their full size from the beginning.
        outlook = replace(outlook, mended=mended(parts, outlook.origin.listing))
    if outlook.grown and request.way != Way.extend:
        changed = source_changes(parts, outlook.origin, outlook.digest, outlook.wanted)
        raise UserError(f"{request.root} holds the dataset of another run; changed since: {changed}")
    return outlook


def _read_through(parts: tuple[Part, ...]) -> None:
    """See that nothing of the listings is damaged: whoever overwrites has no other way past it."""
    for part in parts:
        for _ in part.all_rows():
            pass


def _can_list_again(outlook: Outlook) -> bool:
    """Whether a lost listing would come out as it was: it was the only one, and the source is the same."""
    folder = source_folder(outlook.request.root)
    if folder.is_dir() and any(
        path.name != "00000.parquet" and not path.name.startswith(".") for path in folder.iterdir()
    ):
        return False
    manifest = parse_json((meta_folder(outlook.request.root) / "manifest.json").read_bytes())
    return manifest.get("listed") == _listed(outlook)


def _listed(outlook: Outlook) -> dict[str, Any]:
    return {"source": outlook.digest, "limit": outlook.request.limit}


def _planned(outlook: Outlook, listing: pa.Table) -> Part:
    """The first part: the whole source, up to the limit."""
    request = outlook.request
    about = {"kind": BUILD, **_about(outlook, listing)}
    return write_part(request.root, 0, listing.slice(0, request.limit), request.config.shard_size, about)


def _extended(outlook: Outlook, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts, and one more with what is new; if nothing is, the last one learns how the source is now."""
    request = outlook.request
    _refuse_less(request, parts)
    listing, known = outlook.origin.listing(), known_parts(request.root)
    asked = outlook.origin.asked if isinstance(outlook.origin, Reckoned) else None
    about, fresh = _about(outlook, listing), new_items(known, listing, request.limit, asked)
    unseal(request.root)
    if not fresh.num_rows:
        return *parts[:-1], restated(parts[-1], {**parts[-1].about, **about})
    return *parts, write_part(
        request.root, next_shard(known), fresh, request.config.shard_size, {"kind": EXTEND, **about}
    )


def _refuse_less(request: Request, parts: tuple[Part, ...]) -> None:
    about = parts[-1].about
    there = about.get("limit") or about.get("available", 0)
    if request.limit is not None and request.limit < there:
        raise UserError(
            f"--limit {request.limit} is less than the {there} items that {request.root} was made from; "
            "--extend only adds: give more, or begin anew with --overwrite"
        )


def _about(outlook: Outlook, listing: pa.Table) -> dict[str, Any]:
    available, limit = listing.num_rows, outlook.request.limit
    return {
        "source": outlook.digest,
        "limit": limit if limit is not None and limit < available else None,
        "available": available,
        "other_files": other_files(listing),
        "input": outlook.origin.location.name,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
