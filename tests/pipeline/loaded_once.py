# SPDX-License-Identifier: Apache-2.0
"""A stage that notes where it is set up and where it works."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.rows import table_function


@dataclass(frozen=True, kw_only=True)
class LoadedOnce(Stage):
    """Writes a line for each process that loads it, and one for each table."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("worker", pa.int64())])

    notes: str
    """A file."""

    def setup(self) -> TableFunction:
        with Path(self.notes).open("a") as file:
            file.write(f"{os.getpid()}\n")
        return table_function(self, "loaded", lambda rows: [{"worker": os.getpid()} for _ in rows], 64)
