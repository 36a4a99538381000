# SPDX-License-Identifier: Apache-2.0
"""Shards to be made: checked, listed and claimed, before anything is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from pipeline.config import BuildConfig
from pipeline.dataset.layout import checked_shards
from pipeline.dataset.parts import Part
from pipeline.errors import UserError
from pipeline.operators import Operator, operators
from pipeline.shard_reader import ShardReader
from pipeline.sources import Source
from pipeline.wording import counted
from stages.base import Stage
from stages.shard.files import ShardFiles
from stages.shard.place import Place, address
from stages.write import Write, refused


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done in one output folder."""

    root: Place
    split: str
    stages: Mapping[str, Stage]
    """In order."""
    read: ShardReader
    parts: tuple[Part, ...]
    """The parts of the dataset that this job is about."""
    todo: list[int]
    damaged: tuple[ShardFiles, ...]
    """Committed shards whose files are not as they should be; they are to do."""

    @property
    def shards(self) -> int:
        """How many there are to be, those that are done included."""
        return sum(part.shards for part in self.parts)

    @property
    def items(self) -> int:
        """Source items in them."""
        return sum(part.items for part in self.parts)

    @property
    def ignored(self) -> int:
        """Files of the input that are nothing the source can use."""
        return int(self.parts[-1].about.get("other_files", 0))

    def line(self) -> str:
        """What is done and to do, for people."""
        of = f"{counted(self.items, 'image')} in {counted(self.shards, 'shard')}"
        return f"{of}: {self.shards - len(self.todo)} done, {len(self.todo)} to do"

    def chain(self, token: str) -> list[Operator]:
        """The operators, for the run that holds the folder's lease with this token."""
        run = {"folder": address(self.root.resolve()), "token": token}
        return operators({name: _of_run(stage, run) for name, stage in self.stages.items()})

    def forget_damaged(self) -> None:
        """Take damaged shards' marks away, so that they are made anew.

        Raises:
            UserError: if the folder cannot be written to.
        """
        try:
            for shard in self.damaged:
                shard.stats.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(refused("damaged shards anew", self.root, error)) from error


def _of_run(stage: Stage, run: Mapping[str, str]) -> Stage:
    """A stage that is told of its run, as far as it asks for that."""
    asked = {field.name for field in fields(stage) if field.metadata.get("by_run")}
    return replace(stage, **{name: value for name, value in run.items() if name in asked})


def job_of(root: Place, config: BuildConfig, origin: Source, parts: Sequence[Part]) -> Job:
    """What is to be done about these parts; reads names, sizes and the small stats files, writes nothing."""
    split = split_of(config)
    whole, damaged = checked_shards(root, split)
    done = {shard.number for shard in whole}
    wanted = [number for part in parts for number in part.numbers]
    return Job(
        root=root,
        split=split,
        stages=config.stages,
        read=ShardReader(origin, tuple(parts)),
        parts=tuple(parts),
        todo=[number for number in wanted if number not in done],
        damaged=tuple(shard for shard in damaged if shard.number in {*wanted}),
    )


def split_of(config: BuildConfig) -> str:
    """The split that a configuration writes."""
    write = config.stages["write"]
    assert isinstance(write, Write)
    return write.split
