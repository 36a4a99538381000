# SPDX-License-Identifier: Apache-2.0
"""A stage as somebody else would write it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from stages.base import Stage, TableFunction
from stages.images import decoded
from stages.rows import Reject, table_function


@dataclass(frozen=True, kw_only=True)
class Brightness(Stage):
    """Rejects pictures that are too dark."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("brightness", pa.float32())])

    darkest: float = 20.0
    """Mean of the 8-bit values below which a picture is rejected."""

    def setup(self) -> TableFunction:
        def work(rows):
            means = [float(np.asarray(decoded(row["image"], at_least=32)).mean()) for row in rows]
            return [{"brightness": m} if m >= self.darkest else Reject("too_dark", f"{m:.1f}") for m in means]

        return table_function(self, "brightness", work, 16)
