# SPDX-License-Identifier: Apache-2.0
"""Stages that do what no stage may."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from stages.base import Stage, TableFunction


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


class NoDataclass:
    """It is no stage at all."""
