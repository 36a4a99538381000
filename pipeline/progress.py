# SPDX-License-Identifier: Apache-2.0
"""How far a run is: a bar on a terminal, a line every 30 seconds elsewhere."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TextIO

import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_EVERY = 30.0


def watched(receipts: Iterable[pa.Table], shards: int, stream: TextIO = sys.stderr) -> Iterator[pa.Table]:
    """Pass receipts on while showing shards, samples and images a second."""
    show = _bar if stream.isatty() else _lines
    return show(receipts, shards, stream)


def _tally(total: Counter[str], receipt: pa.Table) -> None:
    for row in receipt.to_pylist():
        total["shards"] += 1
        for name in ("rows", "samples", "rejected", "errors"):
            total[name] += row[name]


def _line(total: Counter[str], seconds: float) -> str:
    rate = total["rows"] / max(seconds, 1e-9)
    share = {name: 100 * total[name] / max(total["rows"], 1) for name in ("samples", "rejected", "errors")}
    return (
        f"{total['rows']} images · ok {share['samples']:.0f} % · rejected {share['rejected']:.0f} % · "
        f"errors {share['errors']:.1f} % · {rate:.1f} img/s"
    )


def _bar(receipts: Iterable[pa.Table], shards: int, stream: TextIO) -> Iterator[pa.Table]:
    total: Counter[str] = Counter()
    started = time.monotonic()
    columns = (
        TextColumn("shards"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        task = progress.add_task("starting workers", total=shards)
        for receipt in receipts:
            _tally(total, receipt)
            progress.update(task, advance=1, description=_line(total, time.monotonic() - started))
            yield receipt


def _lines(receipts: Iterable[pa.Table], shards: int, stream: TextIO) -> Iterator[pa.Table]:
    total: Counter[str] = Counter()
    started = last = time.monotonic()
    for receipt in receipts:
        _tally(total, receipt)
        now = time.monotonic()
        if now - last >= _EVERY or total["shards"] == shards:
            print(
                f"shard {total['shards']}/{shards} · {_line(total, now - started)}", file=stream, flush=True
            )
            last = now
        yield receipt
