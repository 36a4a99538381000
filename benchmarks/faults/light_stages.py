# SPDX-License-Identifier: Apache-2.0
"""A stage that needs no model: a sweep of faults is about processes and files, not about pictures."""

import time
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.rows import table_function


@dataclass(frozen=True, kw_only=True)
class Works(Stage):
    """Takes a while over every row."""

    inputs: ClassVar[tuple[str, ...]] = ("width",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("worked", pa.int32())])
    seconds: float = 0.01

    def setup(self) -> TableFunction:
        """See `Stage.setup`."""

        def work(rows: list[dict[str, int]]) -> list[dict[str, int]]:
            time.sleep(self.seconds * len(rows))
            return [{"worked": row["width"] * 2} for row in rows]

        return table_function(self, "works", work, 4)
