# SPDX-License-Identifier: Apache-2.0
"""What an evaluation is made from: rows that ask for a picture each, reckoned from its configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import LocalFileSystem

from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.sets import SubjectSet
from pipeline.sources.base import Item, listing_table
from pipeline.sources.fetch import Payload, fetched
from pipeline.sources.location import Location
from stages.set_row import SetRow
from stages.setting import Setting


@dataclass(frozen=True)
class EvaluationSource:
    """See `pipeline.sources.base.Source`. Keys are `setting/seed/set/prompt`, sets one after another."""

    sets: Mapping[str, SubjectSet]
    settings: Mapping[str, Setting]
    seeds: tuple[int, ...]
    folder: str
    """Of the configuration."""
    asked: str = "its method's options, prompt, seed and what is in its given pictures"
    """What decides an item, for people."""

    @classmethod
    def of(cls, config: EvaluateConfig, folder: str) -> EvaluationSource:
        """What a configuration asks for."""
        return cls({each.name: each for each in config.protocol.sets}, config.settings, config.seeds, folder)

    @property
    def location(self) -> Location:
        """Where the configuration is."""
        # Not looked at: workers on other machines need no such folder.
        return Location(LocalFileSystem(), self.folder, Path(self.folder).as_uri())

    @property
    def suffixes(self) -> tuple[str, ...]:
        """It is no files."""
        return ()

    def digest(self) -> str:
        """Of everything that is asked for."""
        return hashlib.sha256("\n".join(row.text() for row in self.rows()).encode()).hexdigest()

    def listing(self) -> pa.Table:
        """A row a picture; the path is a digest of what is asked for."""
        return listing_table(
            Item(_key(row), hashlib.sha256(row.text().encode()).hexdigest()) for row in self.rows()
        )

    def fetch(self, items: pa.Table) -> pa.Table:
        """The rows themselves, as metadata."""
        texts = [self._row(*_split(key)).text() for key in items["source_key"].to_pylist()]
        return fetched(self.location, items, [Payload(source_meta=text) for text in texts])

    def rows(self) -> Iterator[SetRow]:
        """All of them."""
        for setting, seed, subjects in product(self.settings, self.seeds, self.sets.values()):
            for place in range(len(subjects.prompts)):
                yield self._row(setting, seed, subjects.name, place)

    def _row(self, name: str, seed: int, set_name: str, place: int) -> SetRow:
        setting, subjects = self.settings[name], self.sets[set_name]
        return SetRow(
            setting=name,
            method=_drawn_by(setting),
            name=set_name,
            seed=seed,
            individuals=subjects.individuals,
            prompt=subjects.prompts[place],
            place=place,
            boxes=subjects.boxes,
            style=subjects.style,
            truth=subjects.truth[place] if subjects.truth else {},
            teacher=None if setting.learned_as is None else _drawn_by(self.settings[setting.learned_as]),
        )


def _drawn_by(setting: Setting) -> Setting:
    """Without what is of tables and figures alone: nothing is drawn anew for a label."""
    return replace(setting, about="", curve=None)


def _key(row: SetRow) -> str:
    return f"{row.setting}/{row.seed:06d}/{row.name}/{row.place:04d}"


def parts_of(key: str) -> tuple[str, int, str]:
    """Setting, seed and set of a key."""
    return _split(key)[:3]


def _split(key: str) -> tuple[str, int, str, int]:
    setting, seed, name, place = key.split("/")
    return setting, int(seed), name, int(place)
