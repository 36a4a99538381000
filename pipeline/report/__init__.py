# SPDX-License-Identifier: Apache-2.0
"""The report: one self-contained page that shows what a dataset holds, what it lost, and why."""

from pathlib import Path

from pipeline.dataset.layout import all_shards
from pipeline.dataset.newer import replaced_rows
from pipeline.dataset.totals import all_stats
from pipeline.errors import UserError
from pipeline.report.collect import Totals, light_batches
from pipeline.report.gallery import Picks
from pipeline.report.page import payload, render
from pipeline.report.record import read_record
from pipeline.report.rows import build_cards
from stages.shard.commit import replace


def write_report(dataset: Path) -> Path:
    """Write `<dataset>/report.html` from the committed shards and `_meta`; return its path.

    The page opens from `file://` without a network and stays below 20 MB. The same files on disk give
    the same bytes. The file appears whole or not at all. Memory is bounded by the largest shard.

    Raises:
        UserError: no such dataset, one of its files cannot be read, or the page cannot be written.
    """
    shards = all_shards(dataset)
    for _ in all_stats(shards):
        pass  # what vouches for a shard has to be readable before its rows are shown
    totals, picks, replaced = Totals(), Picks(), replaced_rows(dataset)
    for shard in shards:
        for first_row, batch in light_batches(shard, replaced.get(shard.number, ())):
            picks.add(shard, first_row, batch, totals.add(batch))
    record = read_record(dataset)
    page = render(payload(record, totals, len(shards), build_cards(dataset, record, picks)))
    target = dataset / "report.html"
    try:
        replace(target, page.encode())
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror or error}; make room or give access"
        ) from error
    return target
