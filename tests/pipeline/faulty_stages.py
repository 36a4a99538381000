# SPDX-License-Identifier: Apache-2.0
"""Stages that do to their workers what real pictures and models do now and then."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.rows import table_function


@dataclass(frozen=True, kw_only=True)
class Deadly(Stage):
    """Ends its process, without a word, at every picture of a given width."""

    inputs: ClassVar[tuple[str, ...]] = ("width",)
    outputs: ClassVar[pa.Schema] = pa.schema([])
    width: int = 13
    batch_size: int = 4

    def setup(self) -> TableFunction:
        def work(rows):
            if any(row["width"] == self.width for row in rows):
                os._exit(3)
            return [{} for _ in rows]

        return table_function(self, "deadly", work, self.batch_size)


@dataclass(frozen=True, kw_only=True)
class DeadlyTable(Stage):
    """The same in a stage that is given whole tables."""

    inputs: ClassVar[tuple[str, ...]] = ("width", "status")
    outputs: ClassVar[pa.Schema] = pa.schema([])
    width: int = 13

    def setup(self) -> TableFunction:
        def work(table):
            pairs = zip(table["width"].to_pylist(), table["status"].to_pylist(), strict=True)
            if any(width == self.width and status == "ok" for width, status in pairs):
                os._exit(3)
            return table

        return work


@dataclass(frozen=True, kw_only=True)
class Crowded(Stage):
    """Ends its process where it gets more than some rows at a time, whichever they are."""

    inputs: ClassVar[tuple[str, ...]] = ("width",)
    outputs: ClassVar[pa.Schema] = pa.schema([])
    most: int = 1
    batch_size: int = 4

    def setup(self) -> TableFunction:
        def work(rows):
            if len(rows) > self.most:
                os._exit(3)
            return [{} for _ in rows]

        return table_function(self, "crowded", work, self.batch_size)


@dataclass(frozen=True, kw_only=True)
class Waits(Stage):
    """Waits at every row of one shard until a file is there, or a while at every row."""

    inputs: ClassVar[tuple[str, ...]] = ("key",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("waited", pa.bool_())])
    shard: str = ""
    until: str = ""
    seconds: float = 0.0

    def setup(self) -> TableFunction:
        def work(rows):
            for row in rows:
                time.sleep(self.seconds)
                while row["key"].startswith(self.shard or "-") and not Path(self.until).exists():
                    time.sleep(0.02)
            return [{"waited": True} for _ in rows]

        return table_function(self, "waits", work, 1)


@dataclass(frozen=True, kw_only=True)
class Flaky(Stage):
    """Fails at pictures of a given width as long as a file is there."""

    inputs: ClassVar[tuple[str, ...]] = ("width",)
    outputs: ClassVar[pa.Schema] = pa.schema([])
    width: int = 13
    broken: str = ""

    def setup(self) -> TableFunction:
        def work(rows):
            if any(row["width"] == self.width for row in rows) and Path(self.broken).exists():
                raise ConnectionError("the service does not answer")
            return [{} for _ in rows]

        return table_function(self, "flaky", work, 2)
