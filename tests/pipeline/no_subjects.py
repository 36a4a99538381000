# SPDX-License-Identifier: Apache-2.0
"""A stage that lets a chain run without any model."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.columns import ENTITY
from stages.rows import table_function


@dataclass(frozen=True, kw_only=True)
class NoSubjects(Stage):
    """Finds nothing in any picture."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("entities", pa.list_(ENTITY))])

    def setup(self) -> TableFunction:
        return table_function(self, "no_subjects", lambda rows: [{"entities": []} for _ in rows], 64)
