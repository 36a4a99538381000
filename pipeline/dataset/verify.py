# SPDX-License-Identifier: Apache-2.0
"""A whole dataset: every shard, every sample, and nothing that does not belong there.

Keys carry their shard's number and their place in it, so keys that are right within each shard are
unique in the dataset, and memory does not grow with it.
"""

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.layout import all_shards, index_path, source_path, split_folders
from pipeline.dataset.problem import Counts, Problem, ShardReport, Verification
from pipeline.dataset.verify_digests import check_digests, check_listing
from pipeline.dataset.verify_meta import check_list, check_manifest, read_index
from pipeline.dataset.verify_shard import check_shard
from stages.shard.files import ShardFiles

Progress = Callable[[int, int], None]
_Job = tuple[ShardFiles, list[str] | None, bool, tuple[Path, int] | None]


def verify(
    root: Path, deep: bool = False, workers: int | None = None, progress: Progress | None = None
) -> Verification:
    """Check a dataset.

    Args:
        root: of the dataset.
        deep: decode every JPEG fully, not only its header.
        workers: processes; as many as there are CPUs if not given.
        progress: told the shards that are done and their total, after each.

    Raises:
        UserError: if the folder is no dataset.
    """
    shards = all_shards(root)
    damaged, problems = check_digests(root)
    # What is not what was written is not worth a decoder's trust.
    source, unopened = (None, []) if "source.parquet" in damaged else _open_source(root)
    groups, unreadable = (None, []) if "index.parquet" in damaged else read_index(root)
    problems += [*unopened, *_check_listed(source, shards), *unreadable, *check_listing(root, source)]
    counts, listings, extras = Counts(), [], {}
    indexed = [None if groups is None else (index_path(root), groups.get(f.number, -1)) for f in shards]
    jobs = _jobs(zip(shards, indexed, strict=True), source, deep, problems)
    for done, report in enumerate(_reports(jobs, workers or os.cpu_count() or 1), 1):
        problems += report.problems
        counts += report.counts
        listings.append(report.listing)
        extras |= {} if report.extra is None else {report.shard: report.extra}
        if progress is not None:
            progress(done, len(shards))
    problems += [*_check_alike(extras), *_check_foreign(root, shards)]
    problems += [*check_manifest(root), *check_list(root, listings)]
    return Verification(tuple(problems), counts)


def _jobs(
    shards: Iterable[tuple[ShardFiles, tuple[Path, int] | None]],
    source: pq.ParquetFile | None,
    deep: bool,
    problems: list[Problem],
) -> Iterator[_Job]:
    for files, indexed in shards:
        keys = None
        try:
            keys = None if source is None else _listed_keys(source, files.number)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            what = f"row group {files.number} of _meta/source.parquet is unreadable: {error}"
            problems.append(Problem("", what))
        yield files, keys, deep, indexed


def _listed_keys(source: pq.ParquetFile, shard: int) -> list[str]:
    if shard >= source.num_row_groups:
        return []
    return source.read_row_group(shard, columns=["source_key"])["source_key"].to_pylist()


def _reports(jobs: Iterable[_Job], workers: int) -> Iterator[ShardReport]:
    if workers == 1:
        yield from (check_shard(*job) for job in jobs)
        return
    # Not forked: the caller may have threads, of Ray or of torch.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        waiting = deque()
        for job in jobs:
            waiting.append(pool.submit(check_shard, *job))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _open_source(root: Path) -> tuple[pq.ParquetFile | None, list[Problem]]:
    path = source_path(root)
    if not path.is_file():
        return None, [
            Problem("", f"{path.relative_to(root)} is missing: what the shards were to hold is not known")
        ]
    try:
        return pq.ParquetFile(path), []
    except (OSError, pa.ArrowException) as error:
        return None, [Problem("", f"{path.relative_to(root)} is unreadable: {error}")]


def _check_alike(extras: dict[str, pa.Schema]) -> Iterator[Problem]:
    """A table of all shards has one schema, that of most of them."""
    lists = {shard: ", ".join(f"{f.name} {f.type}" for f in extra) for shard, extra in extras.items()}
    usual = Counter(lists.values()).most_common(1)[0][0] if lists else ""
    for shard, found in lists.items():
        if found != usual:
            yield Problem(shard, f"its extra columns are ({found}), those of the other shards ({usual})")


def _check_listed(source: pq.ParquetFile | None, shards: list[ShardFiles]) -> Iterator[Problem]:
    listed = range(source.num_row_groups if source is not None else 0)
    if not shards and not listed:
        yield Problem("", "no shard is there")
    split = shards[0].folder.name if shards else "train"
    for number in sorted({*listed} - {files.number for files in shards}):
        yield Problem(f"{split}/{number:05d}", "the shard is not there: not built yet, or lost")


def _check_foreign(root: Path, shards: list[ShardFiles]) -> Iterator[Problem]:
    ours = {path for files in shards for path in (files.tar, files.parquet, files.stats)}
    holding, data = {files.folder for files in shards} or {*split_folders(root)}, root / "data"
    for path in sorted(
        [*data.iterdir(), *(path for folder in split_folders(root) for path in folder.iterdir())]
    ):
        if path.is_symlink():
            yield Problem("", f"{path.relative_to(root)} is a link, not the dataset's own")
        if path not in ours and path not in holding:
            leftover = path.name.startswith(".") and ".tmp-" in path.name
            what = "is a file that a writer did not finish" if leftover else "belongs to no committed shard"
            yield Problem("", f"{path.relative_to(root)} {what}")
