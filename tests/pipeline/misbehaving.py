# SPDX-License-Identifier: Apache-2.0
"""Stages that do what no stage may."""

import os
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.rows import Row, table_function


@dataclass(frozen=True, kw_only=True)
class SetupFails(Stage):
    """It cannot start."""

    outputs: ClassVar[pa.Schema] = pa.schema([])

    def setup(self) -> TableFunction:
        raise ValueError("no such\nmodel")


@dataclass(frozen=True, kw_only=True)
class LosesRows(Stage):
    """It returns fewer rows than it was given."""

    outputs: ClassVar[pa.Schema] = pa.schema([])

    def setup(self) -> TableFunction:
        return lambda table: table.slice(1)


@dataclass(frozen=True, kw_only=True)
class InventsOutcomes(Stage):
    """It says more than it was asked."""

    outputs: ClassVar[pa.Schema] = pa.schema([])

    def setup(self) -> TableFunction:
        return table_function(self, f"{__name__}:InventsOutcomes", lambda rows: [{}] * (len(rows) + 1))


@dataclass(frozen=True, kw_only=True)
class RunsOutOfMemory(Stage):
    """Two rows of the second shard do not fit in memory together."""

    inputs: ClassVar[tuple[str, ...]] = ("key",)
    outputs: ClassVar[pa.Schema] = pa.schema([])

    def setup(self) -> TableFunction:
        def work(rows: list[Row]) -> list[Row]:
            if len(rows) > 1 and rows[0]["key"].startswith("00001"):
                raise MemoryError
            return [{} for _ in rows]

        return table_function(self, "hungry", work, 4)


@dataclass(frozen=True, kw_only=True)
class TakesItsWorkerDown(Stage):
    """The second shard kills its first workers, as a crash in native code would; no row can be found out."""

    outputs: ClassVar[pa.Schema] = pa.schema([])
    whole: ClassVar[bool] = True
    deaths: str = ""
    """A file that counts them."""
    most: int = 99

    def setup(self) -> TableFunction:
        def work(table: pa.Table) -> pa.Table:
            if table["key"][0].as_py().startswith("00001"):
                with open(self.deaths, "a+") as file:
                    file.write("x")
                if os.path.getsize(self.deaths) <= self.most:
                    os._exit(3)
            return table

        return work


class NoDataclass:
    """It is no stage at all."""
