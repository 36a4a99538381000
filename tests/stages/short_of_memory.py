# SPDX-License-Identifier: Apache-2.0
"""A stage under a real limit of memory: `short_of_memory.py numpy|torch` prints what happened, as JSON.

A row takes 16 MiB, twice, of a budget of 208 MiB. So 8 rows do not fit and 4 do; but 4 do not either while
the first half of what 8 rows took is still held.
"""

import gc
import importlib
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.rows import Row, table_function
from tests.tables import ok_rows

MIB = 1 << 20
ROW, BUDGET = 16 * MIB, 208 * MIB
GIANT = 100
"""Rows' worth of memory that the row 20 of the third table takes."""


@dataclass(frozen=True, kw_only=True)
class Hungry(Stage):
    inputs: ClassVar[tuple[str, ...]] = ("key", "width")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("sum", pa.int64())])
    work: Any = None

    def setup(self) -> TableFunction:
        return table_function(self, "hungry", self.work, batch_size=16)


def main(library: str) -> None:
    ones = _ones(library)
    tried: list[int] = []

    def work(rows: list[Row]) -> list[Row]:
        tried.append(len(rows))
        size = ROW * sum(row["width"] for row in rows)
        # A cycle, as models' own objects are; only the collector can let it go.
        held: dict[str, Any] = {"bytes": ones(size)}
        held["itself"] = held
        again = ones(size)
        return [{"sum": int(again[0] + held["bytes"][-1]) + row["width"]} for row in rows]

    function = Hungry(work=work).setup()
    tables = [ok_rows(width=[1] * 40), ok_rows(width=[1] * 40), ok_rows(width=[1] * 20 + [GIANT] + [1] * 19)]
    function(tables[0].slice(0, 1))
    gc.collect()
    before = _address_space()
    resource.setrlimit(resource.RLIMIT_AS, (before + BUDGET, before + BUDGET))
    told, found = [], []
    for table in tables:
        tried.clear()
        found.append(function(table).drop_columns(["source_key", "source_uri"]).to_pylist())
        told.append([*tried])
    gc.collect()
    grown = _address_space() - before
    print(json.dumps({"rows": found, "tried": told, "grown": grown, "error": _error(ones)}))


def _ones(library: str) -> Callable[[int], Any]:
    if library == "numpy":
        return lambda size: np.ones(size, np.uint8)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    return lambda size: torch.ones(size, dtype=torch.uint8)


def _error(ones: Callable[[int], Any]) -> str:
    """The class of the error that this library raises at the limit."""
    try:
        ones(2 * BUDGET)
    except Exception as error:
        return type(error).__name__
    return "none"


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":
    main(sys.argv[1])
