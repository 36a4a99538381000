# SPDX-License-Identifier: Apache-2.0
"""Which subjects are drawn for which prompts, whatever the method."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval

from models.consistency.words import whole_words
from pipeline.errors import UserError
from pipeline.wording import counted
from stages.set_row import Individual

_NAME = re.compile(r"[\w+@=][\w .,+@=-]*")
_LONGEST = 200
"""Bytes that a folder's name may have, with room for what is written beside."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class SubjectSet:
    """Some subjects and the prompts that they are drawn for together."""

    name: str
    individuals: tuple[Individual, ...]
    prompts: tuple[str, ...]
    boxes: tuple[Box, ...] | None = None
    """Where each subject is asked to be: x1, y1, x2, y2 in [0, 1]."""
    style: Individual | None = None
    """That all prompts name."""
    truth: tuple[Mapping[str, Any], ...] = ()
    """Of each prompt's picture, on the miniature."""

    about: str | None = None
    """Name of the subject that it is made for, among others; of the first if not given."""

    @property
    def owner(self) -> str:
        """Whose set it is, where intervals are reckoned."""
        return self.about or self.individuals[0].name

    @property
    def given(self) -> tuple[Individual, ...]:
        """All that there may be pictures of: the subjects, then the style."""
        return self.individuals if self.style is None else (*self.individuals, self.style)


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A row that somebody else has published."""

    method: str
    values: Mapping[str, str | int | Annotated[float, Interval(ge=-1e12, le=1e12)] | None]
    """By name, as they were printed."""
    source: str


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """All sets of an evaluation."""

    sets: tuple[SubjectSet, ...]
    source: str = ""
    """Whose protocol it is, and what differs."""
    reported: tuple[Reported, ...] = ()


def checked(protocol: Protocol, where: str) -> Protocol:
    """The same, if it can be drawn.

    Raises:
        UserError: it holds nothing, a prompt lacks a subject's word, or sets are of different sizes.
    """
    if not protocol.sets:
        raise UserError(f"{where}: it has no sets; give subjects and prompts")
    for each in protocol.sets:
        _check_set(each, where)
    names = [each.name for each in protocol.sets]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UserError(f"{where}: two sets are called '{name}'; give each a name of its own")
        check_name(name, f"{where}: a set")
    sizes = {len(each.prompts): each.name for each in protocol.sets}
    if len(sizes) > 1:
        told = ", ".join(f"'{name}' has {counted(size, 'prompt')}" for size, name in sizes.items())
        raise UserError(f"{where}: all sets must have as many prompts; {told}")
    return protocol


def check_name(name: str, what: str) -> None:
    """See that a folder can have this name.

    Raises:
        UserError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{what} is called '{name}'; names are those of folders, of letters, digits, spaces and -_.+@=,"
        )
    if len(name.encode()) > _LONGEST:
        raise UserError(f"{what} is called '{name[:40]}...' of {len(name)} letters; give a shorter name")


def _check_set(each: SubjectSet, where: str) -> None:
    if not each.individuals:
        raise UserError(f"{where}: set '{each.name}' has no subject")
    if not each.prompts:
        raise UserError(f"{where}: set '{each.name}' has no prompt; write at least one")
    names = [individual.name for individual in each.given]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UserError(f"{where}: set '{each.name}' has '{name}' twice; name each once")
    for individual in each.given:
        _check_words(individual, each, where)
        _check_captions(individual, where)
    if each.boxes is not None:
        _check_boxes(each.boxes, each, where)


def _check_words(individual: Individual, each: SubjectSet, where: str) -> None:
    kind = "style" if individual is each.style else "subject"
    if not individual.word.strip():
        raise UserError(f"{where}: {kind} '{individual.name}' has no word; give what prompts call it")
    own = [] if individual.prompt is None else [individual.prompt]
    namesakes = sum(other.word == individual.word for other in each.given)
    told = (
        ("prompt", each.prompts, f"of set '{each.name}'", namesakes),
        ("prompt", own, f"of {kind} '{individual.name}'", 1),
        ("caption", individual.captions, f"of {kind} '{individual.name}'", 1),
    )
    for what, texts, of, times in told:
        for text in texts:
            if len(whole_words(text, individual.word)) < times:
                raise UserError(
                    f"{where}: the {what} {text!r} {of} does not have its {kind}'s word "
                    f"'{individual.word}'{f' for {times} subjects' if times > 1 else ''}; add it"
                )


def _check_captions(individual: Individual, where: str) -> None:
    captions, pictures = len(individual.captions), len(individual.references)
    if captions and captions != pictures:
        raise UserError(
            f"{where}: '{individual.name}' has {counted(captions, 'caption')} for "
            f"{counted(pictures, 'picture')}; give one for each, or none"
        )


def _check_boxes(boxes: Sequence[Box], each: SubjectSet, where: str) -> None:
    if len(boxes) != len(each.individuals):
        raise UserError(
            f"{where}: set '{each.name}' has {len(boxes)} boxes for "
            f"{counted(len(each.individuals), 'subject')}; give one for each"
        )
    for x1, y1, x2, y2 in boxes:
        if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
            raise UserError(
                f"{where}: set '{each.name}' has the box {[x1, y1, x2, y2]}; "
                "boxes are x1, y1, x2, y2 in [0, 1], the lesser first"
            )
