# SPDX-License-Identifier: Apache-2.0
"""The miniature's protocol: identities that no training has seen, in the world's places, with their truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from annotated_types import Interval

from models.miniature.world import (
    BACKGROUNDS,
    Identity,
    Mention,
    Prompt,
)
from models.miniature.world.styles import STYLES
from models.references import names_of_identity, names_of_style, place_of_reference, subject_of_style
from pipeline.errors import UserError
from pipeline.evaluate.people import all_chosen, different_identities
from pipeline.evaluate.sets import Box, Protocol, SubjectSet
from pipeline.fields import nearest
from stages.set_row import Individual

_PLACES: dict[int, tuple[Box, ...] | None] = {
    1: None,
    2: ((0.04, 0.28, 0.48, 0.72), (0.52, 0.28, 0.96, 0.72)),
    3: ((0.02, 0.35, 0.32, 0.65), (0.35, 0.35, 0.65, 0.65), (0.68, 0.35, 0.98, 0.65)),
    4: (
        (0.05, 0.05, 0.45, 0.45),
        (0.55, 0.05, 0.95, 0.45),
        (0.05, 0.55, 0.45, 0.95),
        (0.55, 0.55, 0.95, 0.95),
    ),
}
"""Where several subjects are asked to be."""


@dataclass(frozen=True, kw_only=True)
class World:
    """How many of what."""

    subjects: Annotated[int, Interval(ge=1, le=1000)] = 24
    """Different identities, of all nouns in turn."""
    together: tuple[Annotated[int, Interval(ge=1, le=4)], ...] = (1,)
    """Subjects in a set; for each of these numbers sets are made."""
    sets: Annotated[int, Interval(ge=1, le=1000)] | None = None
    """For each number of subjects; as many as there are subjects if not given."""
    prompts: Annotated[int, Interval(ge=1, le=6)] = 5
    """Of a set, each with a place of its own."""
    references: Annotated[int, Interval(ge=0, le=6)] = 4
    """Given pictures of a subject."""
    stated: tuple[Literal["body", "pattern"], ...] = ()
    """What prompts say of each subject, such as `a red cat` for its body's colour."""
    styles: tuple[str, ...] = ()
    """If given, each set is drawn in each of these instead, see `models.miniature.world.styles`."""
    seed: Annotated[int, Interval(ge=0)] = 20261127
    """Decides who is drawn."""


def world_protocol(world: World) -> Protocol:
    """The sets of it, the same each time.

    Raises:
        UserError: there is no such style.
    """
    for style in world.styles:
        if style not in STYLES:
            raise UserError(f"world.styles: the world has no style '{style}'{nearest(style, STYLES)}")
    people = [*different_identities(world)]
    nouns = len({each.noun for each in people})
    if max(world.together, default=0) > nouns:
        raise UserError(
            f"world.together: of {world.subjects} subjects no {max(world.together)} are of different nouns; "
            "raise world.subjects"
        )
    sets = []
    for number, chosen in all_chosen(people, world):
        about = people[number % len(people)].id
        sets += [_set(chosen, about, number, world, style) for style in world.styles or (None,)]
    return Protocol(
        sets=tuple(sets), source="the miniature's procedural world; identities held out from all training"
    )


def _set(identities: list[Identity], about: str, number: int, world: World, style: str | None) -> SubjectSet:
    places = [*BACKGROUNDS]
    shown = [places[(number + place) % len(places)] for place in range(world.prompts)]
    mentions = tuple(_mention(each, world) for each in identities)
    boxes = _PLACES[len(identities)]
    return SubjectSet(
        name="+".join([*(each.id for each in identities), *([style] if style else [])]),
        about=about,
        individuals=tuple(_individual(each, world) for each in identities),
        prompts=tuple(_in_style(Prompt(mentions, place).text, style) for place in shown),
        boxes=boxes,
        style=None if style is None else _style(style, world.references),
        truth=tuple(_truth(identities, place, boxes, world, style) for place in shown),
    )


def _in_style(text: str, style: str | None) -> str:
    return text if style is None else f"{text}, {style}"


def _style(style: str, references: int) -> Individual:
    """Pictures of others in that style, with what they show."""
    names = names_of_style(style, references)
    nouns = [subject_of_style(style, k).noun for k in range(len(names))]
    shown = [Prompt((Mention(noun),), place_of_reference(k)) for k, noun in enumerate(nouns)]
    captions = tuple(_in_style(each.text, style) for each in shown)
    return Individual(name=style, word=style, references=names, captions=captions)


def _mention(identity: Identity, world: World) -> Mention:
    return Mention(identity.noun, **_stated(identity, world))


def _stated(identity: Identity, world: World) -> dict[str, str]:
    return {name: getattr(identity, name) for name in world.stated}


def _individual(identity: Identity, world: World) -> Individual:
    names = names_of_identity(identity, world.references)
    captions = [Prompt((Mention(identity.noun),), place_of_reference(k)).text for k in range(len(names))]
    return Individual(
        name=identity.id,
        word=identity.noun,
        references=names,
        captions=tuple(captions),
        prompt=_mention(identity, world).text,
    )


def _truth(
    identities: list[Identity],
    place: str,
    boxes: tuple[Box, ...] | None,
    world: World,
    style: str | None,
) -> Mapping[str, Any]:
    """Without references nobody is to look like anybody."""
    truth: dict[str, Any] = {"background": place}
    if world.references:
        truth["identities"] = [asdict(each) for each in identities]
    if world.stated:
        truth["stated"] = [_stated(each, world) for each in identities]
    if style is not None:
        truth["style"] = style
    if boxes is not None:
        truth["boxes"] = [[*box] for box in boxes]
    return truth
