# SPDX-License-Identifier: Apache-2.0
"""Say what each picture shows. In: the stored image. Out: one sentence (Subject-Diffusion, section 3.2)."""

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from models.backends.blip2 import Blip2
from models.backends.bounds import Count
from models.backends.protocols import Captioner
from stages.ahead import PREPARED
from stages.backend import Backend
from stages.base import Resources, Stage, TableFunction
from stages.images import decoding
from stages.rows import Outcome, Reject, Row, table_function


@dataclass(frozen=True, kw_only=True)
class Caption(Stage):
    """Captions images; an empty caption rejects the sample."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("caption", pa.string())])
    version: ClassVar[int] = 2

    captioner: Backend[Captioner] = field(default_factory=Blip2)
    """Which model, and how it runs."""
    batch_size: Count = 16
    """Images a forward pass."""
    decode_side: Count = 448
    """JPEGs may be decoded smaller as long as both sides keep this many pixels."""
    resources: Resources | None = field(default_factory=Resources)

    def setup(self) -> TableFunction:
        """Load the captioner."""
        captioner = self.captioner.load()

        def work(rows: list[Row]) -> list[Outcome]:
            images = [row[PREPARED]() for row in rows]
            return [{"caption": text} if text else Reject("no_caption") for text in captioner.caption(images)]

        decode = decoding(self, self.decode_side)
        return table_function(self, "caption", work, self.batch_size, prepare=decode)
