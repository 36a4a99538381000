# SPDX-License-Identifier: Apache-2.0
"""What methods learn of a set's subjects and style, once each, whichever set asks first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.consistency.method import Sampling, Subject, Tell
from models.consistency.registry import Entry, entry
from models.metrics.image_set import Pictured
from models.metrics.regions import cut_out
from stages.set_row import Individual, SetRow
from stages.setting import Setting

if TYPE_CHECKING:
    from PIL.Image import Image

    from models.consistency.state import State
    from models.generation import TextToImage


@dataclass(frozen=True, slots=True)
class Given:
    """Pictures that a method may see."""

    subjects: tuple[tuple[Pictured, ...], ...]
    """Of each subject, with its mask."""
    style: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class _Lesson:
    """Something that is learnt by itself."""

    teacher: Setting
    individuals: tuple[Individual, ...]
    subject: Subject

    def folder(self, sampler: TextToImage) -> str:
        """Readable, and no other subjects', options' or model's."""
        how = {name: value for name, value in asdict(self.teacher).items() if name in _LEARNT_BY}
        told = [asdict(sampler), how, *(asdict(each) for each in self.individuals)]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
        names = "+".join(each.name for each in self.individuals)
        return f"{''.join(c if c.isalnum() or c in '-_+' else '-' for c in names)[:80]}-{digest}"


_LEARNT_BY = ("method", "options", "given", "model")
"""Of a setting, what decides what is learnt."""


def states_of(
    row: SetRow, given: Given, folder: Path, sampler: TextToImage, pipe: Any, sampling: Sampling, tell: Tell
) -> tuple[list[State], float]:
    """Of each subject, or of all together by a method that draws them itself; of the style last.

    Args:
        row: any of the set.
        given: pictures.
        folder: that states are kept in.
        sampler: the model's, which is part of what a state is for.
        pipe: the model.
        sampling: how it samples.
        tell: of progress.

    Returns:
        The states, and the seconds that it took to learn them, whenever that was.

    Raises:
        ValueError: the set has a style, and the setting does not say how it is learnt.
    """
    from models.consistency.learned import learned

    found, seconds = [], 0.0
    for lesson in _lessons(row, given):
        place = folder / lesson.teacher.method / lesson.folder(sampler)
        fit = lesson.teacher.built().fit
        state, took = learned(place, lambda it=lesson.subject, fit=fit: fit(pipe, it, sampling, tell))
        found.append(state)
        seconds += took
    return found, seconds


def _lessons(row: SetRow, given: Given) -> Iterator[_Lesson]:
    kind, teacher = entry(row.method.method), row.teacher or row.method
    if not kind.tuned:
        return
    every = range(len(row.individuals))
    for some in [(place,) for place in every] if kind.pictures and not teacher.together else [every]:
        individuals = tuple(row.individuals[place] for place in some)
        pictures = [given.subjects[place] for place in some]
        yield _Lesson(teacher, individuals, subject_of(individuals, kind, teacher, pictures))
    if row.style is not None and kind.merges:
        by, style = teacher.of_style(), row.style
        shown, said = given.style[: by.given], style.captions[: by.given]
        yield _Lesson(by, (style,), Subject(words=(style.word,), pictures=shown, captions=said))


def subject_of(
    individuals: Sequence[Individual], kind: Entry, setting: Setting, given: Sequence[Sequence[Pictured]]
) -> Subject:
    """As a method is told of subjects.

    Args:
        individuals: who they are.
        kind: of the method.
        setting: says how many pictures it is shown.
        given: of each, all pictures.

    Raises:
        ValueError: the method needs a cut-out, and the subject was found in no picture.
    """
    shown = [each[: setting.given] for each in given]
    captions: list[str] = []
    if kind.cut_out:
        pictures = tuple(_alone(each) for each in shown)
    else:
        pictures = tuple(picture.image for each in shown for picture in each)
        pairs = zip(individuals, shown, strict=True)
        captions = [text for each, some in pairs for text in _said(each, len(some))]
    return Subject(
        words=tuple(each.word for each in individuals),
        pictures=pictures,
        captions=tuple(captions),
        prompt=individuals[0].prompt if len(individuals) == 1 else None,
    )


def _said(individual: Individual, count: int) -> Sequence[str]:
    return individual.captions[:count] or [f"a photo of a {individual.word}"] * count


def _alone(pictures: Sequence[Pictured]) -> Image:
    """The first picture in which the subject was found, cut out."""
    for picture in pictures:
        if (found := cut_out(picture.image, picture.masks[0], "white")) is not None:
            return found
    raise ValueError("the subject was found in none of its pictures; give others, or lower the threshold")
