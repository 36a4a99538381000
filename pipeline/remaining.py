# SPDX-License-Identifier: Apache-2.0
"""What a dataset still lacks, and what in it came to nothing, in words for people."""

from collections.abc import Iterator
from shlex import quote

from pipeline.dataset.layout import checked_shards, committed_shards, split_folders
from pipeline.dataset.newer import replaced_rows, without_replaced
from pipeline.dataset.parts import RETRY, Part, known_parts
from pipeline.dataset.totals import Totals, totals
from pipeline.wording import counted
from stages.shard.place import Place


def unfinished_retries(root: Place) -> Iterator[str]:
    """A line for each retry with shards that are missing or damaged, which no build makes anew."""
    for part, left in _unfinished(root):
        if part.kind == RETRY:
            command = f"subjectforge retry {quote(str(root))} {shown(part)}"
            yield f"but {counted(left, 'shard')} of a retry to do: {command}"


def unfinished_builds(root: Place) -> Iterator[str]:
    """A line if shards of a build are missing or damaged: no retry knows yet which of their rows fail."""
    if left := sum(left for part, left in _unfinished(root) if part.kind != RETRY):
        yield f"{counted(left, 'shard')} of the build to do, whose rows are not looked at: build it first"


def _unfinished(root: Place) -> Iterator[tuple[Part, int]]:
    """Parts of which shards are missing or damaged, and how many."""
    splits = [folder.name for folder in split_folders(root)]
    done = {shard.number for split in splits for shard in checked_shards(root, split)[0]}
    for part in known_parts(root):
        if left := len({*part.numbers} - done):
            yield part, left


def what_failed(root: Place, split: str) -> str:
    """How many rows came to nothing, by stage and reason, for somebody whose condition fits none of them."""
    reasons = _totals(root, split).reasons
    told = [f"{stage}: {reason} {n}" for stage, each in reasons.items() for reason, n in each.items()]
    return ", ".join(sorted(told)) or "none failed or was rejected"


def rejected_rows(root: Place, split: str) -> int:
    """How many rows are rejected and have no newer ones."""
    return _totals(root, split).rejected


def _totals(root: Place, split: str) -> Totals:
    shards = committed_shards(root, split)
    return without_replaced(totals(shards), shards, replaced_rows(root))


def shown(part: Part) -> str:
    """The conditions of a retry as they are given on the command line."""
    pairs = part.about.get("where", {}).items()
    return " ".join(f"--where {quote(f'{key}={value}')}" for key, value in pairs)
