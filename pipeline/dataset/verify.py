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

import pyarrow as pa

from pipeline.dataset.layout import all_shards, index_path, source_folder
from pipeline.dataset.parts import Part, part_files, read_part
from pipeline.dataset.problem import Counts, Problem, ShardReport, Verification
from pipeline.dataset.special import special_files
from pipeline.dataset.verify_digests import check_digests, check_listing
from pipeline.dataset.verify_foreign import check_foreign
from pipeline.dataset.verify_meta import Indexed, check_list, check_manifest, read_index
from pipeline.dataset.verify_newer import Listed, check_replacing, listed_rows
from pipeline.dataset.verify_shard import check_shard
from stages.shard.files import ShardFiles
from stages.shard.place import Place, below, open_parquet

Progress = Callable[[int, int], None]
_Job = tuple[ShardFiles, list[Listed] | None, bool, Indexed | None]


def verify(
    root: Place, deep: bool = False, workers: int | None = None, progress: Progress | None = None
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
    if special := tuple(_check_special(root)):
        return Verification(special, Counts())
    damaged, problems = check_digests(root)
    # What is not what was written is not worth a decoder's trust.
    parts, unlisted = _read_parts(root, damaged)
    groups, unreadable = (None, []) if "index.parquet" in damaged else read_index(root)
    problems += [*unlisted, *_check_listed(parts, shards), *unreadable, *check_listing(parts or [])]
    listings, extras = [], {}
    replaced, wrong = check_replacing(shards, parts or [])
    problems += wrong
    counts = Counts(replaced=sum(map(len, replaced.values())))
    indexed = [
        # Without the listings nobody knows which rows are the newest.
        None
        if groups is None or parts is None
        else Indexed(index_path(root), groups.get(f.number, -1), replaced[f.number])
        for f in shards
    ]
    jobs = _jobs(zip(shards, indexed, strict=True), parts, deep, problems)
    for done, report in enumerate(_reports(jobs, workers or os.cpu_count() or 1), 1):
        problems += report.problems
        counts += report.counts
        listings.append(report.listing)
        extras |= {} if report.extra is None else {report.shard: report.extra}
        if progress is not None:
            progress(done, len(shards))
    problems += [*_check_alike(extras), *check_foreign(root, shards)]
    problems += [*check_manifest(root), *check_list(root, listings)]
    return Verification(tuple(problems), counts)


def _jobs(
    shards: Iterable[tuple[ShardFiles, Indexed | None]],
    parts: list[Part] | None,
    deep: bool,
    problems: list[Problem],
) -> Iterator[_Job]:
    # Opened once: their footers grow with the dataset.
    listings = [(part, open_parquet(part.listing)) for part in parts or ()]
    for files, indexed in shards:
        keys = None if parts is None else []
        try:
            for part, listing in listings:
                if files.number in part.numbers:
                    keys = listed_rows(listing, files.number - part.first)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            what = f"what _meta/source lists for it is unreadable: {error}"
            problems.append(Problem(f"{files.folder.name}/{files.stem}", what))
            keys = None
        yield files, keys, deep, indexed


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


def _read_parts(root: Place, damaged: set[str]) -> tuple[list[Part] | None, list[Problem]]:
    if any(name.startswith("source/") for name in damaged):
        return None, []
    parts, problems, place = [], [], below(source_folder(root), root)
    for path in part_files(root):
        try:
            parts.append(read_part(path))
        except (OSError, ValueError, pa.ArrowException) as error:
            problems.append(Problem("", f"{place}/{path.name} is unreadable: {error}"))
    expected = 0
    for part in [*parts, None] if not problems else ():
        if part is None and parts:
            continue
        if part is None or part.first != expected:
            what = f"{place}/{expected:05d}.parquet is missing: what shards were to hold is not known"
            problems.append(Problem("", what))
        expected = part.numbers.stop if part else 0
    return (None if problems else parts), problems


def _check_special(root: Place) -> Iterator[Problem]:
    for path, kind in special_files(root, "data", "_meta"):
        what = f"is {kind}, no file; nothing can be checked until it is removed"
        yield Problem("", f"{below(path, root)} {what}")


def _check_alike(extras: dict[str, pa.Schema]) -> Iterator[Problem]:
    """A table of all shards has one schema, that of most of them."""
    lists = {shard: ", ".join(f"{f.name} {f.type}" for f in extra) for shard, extra in extras.items()}
    usual = Counter(lists.values()).most_common(1)[0][0] if lists else ""
    for shard, found in lists.items():
        if found != usual:
            yield Problem(shard, f"its extra columns are ({found}), those of the other shards ({usual})")


def _check_listed(parts: list[Part] | None, shards: list[ShardFiles]) -> Iterator[Problem]:
    listed = {number for part in parts or () for number in part.numbers}
    if not shards and not listed:
        yield Problem("", "no shard is there")
    split = shards[0].folder.name if shards else "train"
    for number in sorted(listed - {files.number for files in shards}):
        yield Problem(f"{split}/{number:05d}", "the shard is not there: not built yet, or lost")
