# SPDX-License-Identifier: Apache-2.0
"""What `verify` prints: what is wrong, shard by shard, the counts, and what to do about it."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pipeline.dataset.layout import all_shards
from pipeline.dataset.problem import Problem
from pipeline.dataset.special import special_files
from pipeline.dataset.verify import verify
from pipeline.progress import shown
from pipeline.takeover import at_work
from stages.shard.place import Place

_OF_A_SHARD = 20
"""Lines about one shard; two tars that were swapped have hundreds."""


def verify_dataset(root: Place, deep: bool) -> int:
    """Check a dataset and say what was found; returns the exit code.

    Raises:
        UserError: if the folder is no dataset.
    """
    if not any(special_files(root, "_meta")) and (who := at_work(root)):
        print(f"{root} is being written by {who}; what it has not finished is told as if it were damage")
    with shown(len(all_shards(root))) as tell:
        result = verify(root, deep=deep, progress=tell)
    print("\n".join([*_lines(result.problems), result.line()]))
    about = {problem.shard for problem in result.problems if problem.shard}
    committed = {f"{shard.folder.name}/{shard.stem}" for shard in all_shards(root)}
    if about & committed:
        print("to mend a shard, delete its _stats.json and run the build again, or the retry that it is of")
    if about - committed:
        print("shards that are not there are made by the build, or by the retry that they are of, run again")
    return 1 if result.problems else 0


def _lines(problems: Iterable[Problem]) -> Iterator[str]:
    """One for each problem, up to a number for each shard, and how many were left out."""
    told: Counter[str] = Counter()
    for problem in problems:
        told[problem.shard] += 1
        if not problem.shard or told[problem.shard] <= _OF_A_SHARD:
            yield str(problem)
    for shard, count in told.items():
        if shard and count > _OF_A_SHARD:
            yield f"{shard}: and {count - _OF_A_SHARD} problems more"
