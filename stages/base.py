# SPDX-License-Identifier: Apache-2.0
"""What a stage is: a frozen dataclass that is its own configuration, and a function from table to table."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from models.backends.bounds import Count, Holding

TableFunction = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one worker of a stage holds for the whole run."""

    workers: Count = 1
    """How many workers run the stage at the same time."""
    cpus: Holding = 0.5
    """CPUs a worker holds (fractions are fine)."""
    gpus: Holding = 0.0
    """GPUs a worker holds (fractions share one)."""
    decoders: Count = 1
    """Threads in which a worker decodes pictures; with more than one, those of the next batch while its model
    is at this one."""


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """A unit of work. Its fields are its configuration; it is built on the driver and sent to workers.

    Subclasses name the columns they read (`inputs`) and the columns they add (`outputs`), and raise
    `version` whenever the same input would give another output.
    """

    inputs: ClassVar[tuple[str, ...]] = ()
    outputs: ClassVar[pa.Schema] = pa.schema([])
    drops: ClassVar[tuple[str, ...]] = ()
    """Columns that nothing after this stage needs."""
    whole: ClassVar[bool] = False
    """Whether it has to see all rows of a shard at once; others may be given some of them."""
    version: ClassVar[int] = 1
    resources: Resources | None = None
    """Workers of its own; a stage without any runs in the workers of the stage before it."""

    @abstractmethod
    def setup(self) -> TableFunction:
        """Load what the work needs, once a worker, and return the function that does it.

        The function gets and returns a table with the columns of `stages.columns`; it keeps every
        row, in order.
        """


class StageError(Exception):
    """A stage does not do what a stage has to: one line that says which and what."""
