# SPDX-License-Identifier: Apache-2.0
"""A request to make chosen rows of a dataset anew, checked; `pipeline.retry_plan` plans it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.config import BuildConfig, load_config
from pipeline.dataset.layout import committed_shards, config_path, is_evaluation
from pipeline.dataset.parts import RETRY, Part, known_parts
from pipeline.dataset.sealed import check_sealed, check_sealed_listings
from pipeline.dataset.shard_table import shard_table
from pipeline.dataset.special import refuse_special
from pipeline.errors import UserError
from pipeline.job import Job, job_of, split_of
from pipeline.manifest import changes, differences, identity_of, known_identity
from pipeline.sources import Source
from pipeline.survey import opened
from pipeline.takeover import naming_who_writes
from stages.extra_columns import extra_columns
from stages.shard.place import Place
from stages.write import Write

COLUMNS = ("status", "stage", "reason", "source_key", "key")
"""What rows can be chosen by."""
_FIXED = ("config.shard_size", "config.source", "config.stages.write", "schema_version")
"""What all of a dataset has in common."""


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
    if is_evaluation(request.root):
        raise UserError(f"{request.root} is an evaluation; `subjectforge evaluate` has a --retry of its own")
    # Unlike a build, which looks at every shard's files first, it opens their tables.
    refuse_special(request.root, "data")
    check_sealed(request.root)
    check_sealed_listings(request.root)
    where, known = conditions(request.where), known_identity(request.root)
    config = load_config(config_path(request.root), request.overrides)
    # As it is read back: tuples are lists there.
    identity = json.loads(json.dumps(identity_of(config)))
    if changed := changes(known, identity):
        _refuse_changes(request, differences(known, identity), changed)
        _refuse_other_columns(request.root, config)
    with naming_who_writes(request.root):
        parts = known_parts(request.root)
    inputs = {part.about.get("input") for part in parts if part.kind != RETRY}
    if request.source is None and (len(inputs) > 1 or None in inputs):
        raise UserError(
            f"{request.root} was made from several inputs; give --input, and a --where that fits it"
        )
    origin = opened(config, request.source or str(inputs.pop()), request.root)
    return Retry(request.root, where, config, origin, identity, request.accept_changes)


def _refuse_changes(request: RetryRequest, paths: Sequence[str], changed: str) -> None:
    if not request.accept_changes:
        raise UserError(
            f"{request.root} was made otherwise; changed since: {changed}; undo that, or give "
            "--accept-changes to make the rows as things are now"
        )
    if fixed := [path for path in paths if path.startswith(_FIXED)]:
        raise UserError(
            f"{request.root}: {', '.join(fixed)} cannot change in a retry; build into another --output"
        )


def _refuse_other_columns(root: Place, config: BuildConfig) -> None:
    """A table of all shards has one schema, so no change may alter what the rows have."""
    shards = committed_shards(root, split_of(config))
    if not shards:
        return
    with shard_table(shards[0]) as file:
        there = extra_columns(file.schema_arrow)
    # What `write` gives are receipts, not rows.
    stages = [stage for stage in config.stages.values() if not isinstance(stage, Write)]
    added = extra_columns(pa.schema([field for stage in stages for field in stage.outputs]))
    differing = {name for name, _ in set(_kinds(there)) ^ set(_kinds(added))}
    if differing:
        raise UserError(
            f"{root}: the rows would have other columns than the dataset ({', '.join(sorted(differing))}); "
            "build into another --output"
        )


def _kinds(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in schema]


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
