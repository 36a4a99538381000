# SPDX-License-Identifier: Apache-2.0
"""Sets from a local folder in DreamBench's layout: a folder of pictures for each subject.

DreamBench is the data of DreamBooth (Ruiz et al. 2023), 30 subjects of 4 to 6 pictures and 25 prompts each;
its pictures may not be passed on. Where its `prompts_and_classes.txt` lies beside the folders, its classes
and prompts are used, without a made-up word; else the classes below and prompts of our own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from pipeline.errors import UserError
from pipeline.evaluate.given import at_home
from pipeline.evaluate.sets import Protocol, SubjectSet
from pipeline.sources.base import IMAGE_EXTENSIONS
from stages.set_row import Individual

_NAMES = {
    "backpack": "backpack backpack_dog",
    "stuffed animal": "bear_plushie grey_sloth_plushie wolf_plushie",
    "bowl": "berry_bowl",
    "can": "can",
    "candle": "candle",
    "cat": "cat cat2",
    "clock": "clock",
    "sneaker": "colorful_sneaker shiny_sneaker",
    "dog": "dog dog2 dog3 dog5 dog6 dog7 dog8",
    "toy": "duck_toy monster_toy poop_emoji rc_car robot_toy",
    "boot": "fancy_boot",
    "glasses": "pink_sunglasses",
    "cartoon": "red_cartoon",
    "teapot": "teapot",
    "vase": "vase",
}
CLASSES = {name: word for word, names in _NAMES.items() for name in names.split()}
_ALIVE = {"cat", "dog"}
_PLACES = (
    "on a beach", "in the snow", "in a forest", "on a wooden floor", "in a city street", "on a red carpet",
    "beside a mountain lake", "on a white sofa", "in front of a stone wall", "in a field of flowers",
    "in a kitchen", "under a blossoming tree", "on a rainy pavement", "in front of a lighthouse",
    "in a railway station",
)  # fmt: skip
_OF_THINGS = (
    "floating on water",
    "on a pile of books",
    "seen from above",
    "wrapped in a ribbon",
    "on a mirror",
)
_OF_ANIMALS = ("wearing a red hat", "wearing a raincoat", "asleep", "jumping", "wearing a blue scarf")
_LOOKS = ("a red {}", "a purple {}", "a shiny {}", "a wet {}", "a cube-shaped {}")
_ROW = re.compile(r"^([\w-]+),([\w ]+)$")
_QUOTED = re.compile(r"['\"](.+?)['\"]\.format")


@dataclass(frozen=True, kw_only=True)
class DreamBench:
    """Where it is, and which subjects are drawn together."""

    folder: str
    """A path, beside the configuration if it is not absolute."""
    together: tuple[Annotated[int, Interval(ge=1, le=6)], ...] = (1,)
    """Subjects in a set."""
    sets: Annotated[int, Interval(ge=1)] | None = None
    """For each number of subjects above one, drawn at random; 30 if not given."""
    prompts: Annotated[int, Interval(ge=1, le=25)] = 25
    references: Annotated[int, Interval(ge=1)] | None = None
    """Pictures of a subject that are used; all if not given."""
    seed: Annotated[int, Interval(ge=0)] = 0
    """Decides who is drawn together."""


def dreambench_protocol(asked: DreamBench, beside: Path) -> Protocol:
    """The sets of a folder.

    Raises:
        UserError: there is no such folder, or it has too few subjects with pictures.
    """
    folder = beside / at_home(asked.folder)
    people = _subjects(folder, asked.references)
    told = _told(folder)
    sets: list[SubjectSet] = []
    for count in asked.together:
        if count > len(people):
            raise UserError(f"{folder} has {len(people)} subjects; {count} of them cannot be drawn together")
        for chosen in _chosen(people, count, asked):
            prompts = _prompts([each.word for each in chosen], told)[: asked.prompts]
            name = "+".join(each.name for each in chosen)
            sets.append(SubjectSet(name=name, individuals=tuple(chosen), prompts=tuple(prompts)))
    own = "its own classes and prompts" if told else "classes as there, prompts of our own"
    return Protocol(sets=tuple(sets), source=f"DreamBench (Ruiz et al. 2023) from {folder}, {own}")


def _subjects(folder: Path, most: int | None) -> list[Individual]:
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder; give dreambench.folder, with a folder of pictures for each subject"
        )
    classes = {**CLASSES, **_classes(folder)}
    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        ends = tuple(f".{end}" for end in IMAGE_EXTENSIONS)
        pictures = sorted(
            str(path.absolute()) for path in place.iterdir() if path.name.lower().endswith(ends)
        )
        if pictures:
            word = classes.get(place.name, place.name.replace("_", " "))
            found.append(Individual(name=place.name, word=word, references=tuple(pictures[:most])))
    if not found:
        raise UserError(f"{folder} has no folders with pictures; each subject needs one")
    return found


def _chosen(people: list[Individual], count: int, asked: DreamBench) -> list[list[Individual]]:
    if count == 1:
        return [[each] for each in people]
    every = [[*each] for each in combinations(people, count) if len({one.word for one in each}) == count]
    if not every:
        raise UserError(f"{asked.folder} has no {count} subjects of different classes to be drawn together")
    order = np.random.default_rng((asked.seed, count)).permutation(len(every))
    return [every[place] for place in order[: asked.sets or 30]]


def _prompts(words: list[str], told: tuple[list[str], list[str]] | None) -> list[str]:
    text, alive = " and ".join(f"a {word}" for word in words), {*words} <= _ALIVE
    if told is not None and len(words) == 1:
        return [template.replace("{}", words[0]) for template in told[alive]]
    if len(words) > 1:
        return [f"{text} {place}" for place in (*_PLACES, *_OTHER)]
    special = _OF_ANIMALS if alive else _OF_THINGS
    return [f"{text} {place}" for place in (*_PLACES, *special)] + [look.format(words[0]) for look in _LOOKS]


_OTHER = (
    "in a garden", "on a bridge", "at night", "on a boat", "in an empty room", "at a market", "in the desert",
    "on a balcony", "under an umbrella", "in a library",
)  # fmt: skip


def _lines(folder: Path) -> list[str]:
    path = folder / "prompts_and_classes.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _classes(folder: Path) -> dict[str, str]:
    rows = (_ROW.match(line.strip()) for line in _lines(folder))
    return {row[1]: row[2].strip() for row in rows if row and row[1] != "subject_name"}


def _told(folder: Path) -> tuple[list[str], list[str]] | None:
    """Its templates with {} for the class: of things, and of animals; None if there are none."""
    found: list[str] = []
    for line in _lines(folder):
        if quoted := _QUOTED.search(line):
            found.append(" ".join(quoted[1].replace("{0}", "").replace("{1}", "{}").split()))
    return (found[: len(found) // 2], found[len(found) // 2 :]) if found else None
