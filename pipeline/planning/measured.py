# SPDX-License-Identifier: Apache-2.0
"""What a probe has found out about a chain on one machine, and its file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from pipeline.config import fingerprint, plain_fields
from pipeline.errors import UserError
from pipeline.operators import Operator
from pipeline.planning.machine import Machine

_SCHEMA = 5


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OperatorCost(_Frozen):
    """One worker of an operator, alone on its machine. Images are those of the source, whatever became of
    them before they came here."""

    name: str
    """As in `pipeline.operators.Operator.name`."""
    seconds: NonNegativeFloat
    """An image."""
    cpu_seconds: NonNegativeFloat
    """CPU time of all threads, an image."""
    stages: dict[str, NonNegativeFloat]
    """Seconds an image by stage."""
    load: NonNegativeFloat
    """Seconds in which a process that is there gets as fast as it will be."""
    memory: NonNegativeInt
    """Bytes of RAM at most, with a measured shard in hand."""
    row: NonNegativeFloat
    """Bytes of a row of a shard, as it comes in and as it goes out."""
    gpu_memory: NonNegativeInt
    """Bytes of the GPU's memory at most, as torch counts them."""


class Measured(_Frozen):
    """A chain."""

    schema_version: int = Field(default=_SCHEMA, ge=_SCHEMA, le=_SCHEMA)
    operators: tuple[OperatorCost, ...] = Field(min_length=1)
    images: PositiveInt
    """That were measured."""
    samples: PositiveInt
    """That they became."""
    shard: PositiveInt
    """Images of a shard, when it was measured."""
    output: NonNegativeFloat
    """Bytes of the dataset an image."""
    machine: Machine
    processor: str
    """What kind of machine it was."""
    day: str = ""
    """ISO date of the measurement."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Of each stage, see `settings_of`."""
    gpu_total: NonNegativeInt = 0
    """Bytes of memory that a GPU has; 0 where there is none."""

    def for_shards(self, size: int, batch: int) -> Measured:
        """The same with shards of another size in hand.

        Args:
            size: images of a shard.
            batch: the most images that a stage has in one of its batches.

        Raises:
            UserError: such shards do not fill the batches that were measured.
        """
        if size < min(self.shard, batch):
            raise UserError(
                f"shard_size: {self.shard} images a shard were measured, and batches of {batch}, which "
                f"{size} do not fill; measure again with --probe N"
            )
        more = max(0, size - self.shard)
        costs = (
            cost.model_copy(update={"memory": cost.memory + round(more * cost.row)})
            for cost in self.operators
        )
        return self.model_copy(update={"operators": tuple(costs)})


def settings_of(chain: Sequence[Operator]) -> dict[str, str]:
    """A fingerprint of each stage's settings that its speed may depend on; how many workers there are, and
    what they hold, is left aside."""
    found: dict[str, str] = {}
    for operator in chain:
        for name, stage in operator.stages:
            fields = plain_fields(stage)
            fields["resources"] = asdict(operator.resources)["decoders"]
            found[name] = fingerprint(fields)
    return found


def read_measured(path: Path) -> Measured:
    """What `write_measured` wrote.

    Raises:
        UserError: there is no such file, or it is none.
    """
    try:
        return Measured.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"--measured {path}: {error.strerror}; give --probe N to measure, and it is written there"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"--measured {path}: {where}: {first['msg']}; it is no file of a probe: measure again, --probe N"
        ) from error


def check_writable(path: Path) -> None:
    """Before anything is measured.

    Raises:
        UserError: there is no folder for such a file, or nothing may be written there.
    """
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"--measured {path}: no such file can be written; give another path")


def write_measured(measured: Measured, path: Path) -> None:
    """For other clusters later.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--measured {path}: {error.strerror}; give another path") from error
