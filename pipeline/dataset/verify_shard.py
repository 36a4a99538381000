# SPDX-License-Identifier: Apache-2.0
"""One committed shard: its stats, its parquet and its tar, each by itself and against each other.

Knows the schema and the file names, and nothing of the code that writes them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.problem import Counts, Problem, ShardReport
from pipeline.dataset.verify_members import check_tar
from pipeline.dataset.verify_meta import Indexed, check_indexed
from pipeline.dataset.verify_newer import Listed
from pipeline.dataset.verify_sample import check_ledger
from pipeline.dataset.verify_stats import check_counts, check_file, read_stats
from stages.columns import SAMPLE, SCHEMA_VERSION
from stages.extra_columns import extra_columns, json_columns
from stages.shard.files import ShardFiles

Row = dict[str, Any]


def check_shard(
    files: ShardFiles, listed: Sequence[Listed] | None, deep: bool, index: Indexed | None
) -> ShardReport:
    """Check a committed shard.

    Args:
        files: the shard's.
        listed: what it was to hold, in order; None if that is not known.
        deep: decode every JPEG fully; a tar with a wrong hash always gets this.
        index: where its rows are in the parquet with all shards' rows; None if that cannot be read.
    """
    shard = f"{files.folder.name}/{files.stem}"
    try:
        return _check(shard, files, listed, deep, index)
    # Whatever else is in there must not hide what is wrong with the other shards.
    except Exception as error:
        problem = Problem(shard, f"the shard cannot be checked: {error!r}")
        return ShardReport(shard, (problem,), Counts(shards=1), {})


def _check(
    shard: str,
    files: ShardFiles,
    listed: Sequence[Listed] | None,
    deep: bool,
    index: Indexed | None,
) -> ShardReport:
    try:
        stats = read_stats(files.stats)
    except (OSError, ValueError) as error:
        problem = Problem(shard, f"{files.stats.name} is unreadable: {error}")
        return ShardReport(shard, (problem,), Counts(shards=1), {})
    bad_tar = [*check_file(stats, "tar", files.tar)]
    bad_parquet = [*check_file(stats, "parquet", files.parquet)]
    # A parquet that is not the one that was written is not worth a decoder's trust.
    bad_parquet = bad_parquet or [*_check_schema(files)]
    problems = [Problem(shard, what) for what in bad_tar + bad_parquet]
    extra = None if bad_parquet else extra_columns(pq.read_schema(files.parquet))
    told = pa.schema([]) if extra is None else json_columns(extra)
    rows = None if extra is None else _read_rows(files, told)
    if rows is not None:
        problems += [Problem(shard, what) for what in check_counts(stats, files.number, rows)]
        problems += _check_rows(shard, files, rows, listed)
        problems += [Problem(shard, what) for what in (check_indexed(files, index) if index else ())]
    if files.tar.is_file():
        problems += check_tar(shard, files, rows, told, deep or bool(bad_tar))
    counts = _counts(files, rows or [])
    return ShardReport(shard, tuple(problems), counts, _listing(files, stats), extra)


def _check_schema(files: ShardFiles) -> Iterator[str]:
    schema = pq.read_schema(files.parquet)
    version = (schema.metadata or {}).get(b"subjectforge.schema_version", b"")
    whole = pa.schema([*SAMPLE, *extra_columns(schema)])
    if not schema.equals(whole) or version != str(SCHEMA_VERSION).encode():
        yield f"{files.parquet.name} has other columns than schema version {SCHEMA_VERSION}"


def _read_rows(files: ShardFiles, told: pa.Schema) -> list[Row]:
    """All that the json of a sample repeats."""
    return pq.read_table(files.parquet, columns=[*SAMPLE.names, *told.names]).to_pylist()


def _check_rows(
    shard: str, files: ShardFiles, rows: list[Row], listed: Sequence[Listed] | None
) -> Iterator[Problem]:
    for index, row in enumerate(rows):
        if row["key"] != f"{files.stem}-{index:05d}":
            yield Problem(
                shard, f"row {index} of {files.parquet.name} has a key that is not its own", row["key"]
            )
        if what := check_ledger(row):
            yield Problem(shard, what, row["key"])
    found = [Listed(row["source_key"], row["replaces"]) for row in rows]
    if listed is not None and found != list(listed):
        pairs = enumerate(zip(found, listed, strict=False))
        first = next((i for i, (one, other) in pairs if one != other), min(len(found), len(listed)))
        yield Problem(shard, f"the rows are not those of the source listing, from row {first} on")


def _counts(files: ShardFiles, rows: list[Row]) -> Counts:
    statuses = [row["status"] for row in rows]
    return Counts(
        shards=1,
        rows=len(statuses),
        samples=statuses.count("ok"),
        rejected=statuses.count("rejected"),
        errors=statuses.count("error"),
        instances=sum(len(row["entities"] or []) for row in rows if row["status"] == "ok"),
        bytes=sum(path.stat().st_size for path in (files.tar, files.parquet, files.stats) if path.is_file()),
    )


def _listing(files: ShardFiles, stats: dict[str, Any]) -> dict[str, Any]:
    tar = stats.get("files", {}).get("tar", {})
    return {
        "url": f"data/{files.folder.name}/{files.tar.name}",
        "nsamples": stats.get("successes"),
        "rows": stats.get("count"),
        "bytes": tar.get("bytes"),
        "sha256": tar.get("sha256"),
    }
