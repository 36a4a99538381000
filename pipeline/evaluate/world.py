# SPDX-License-Identifier: Apache-2.0
"""The miniature's protocol: identities that no training has seen, in the world's places, with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval

from models.miniature.world import (
    BACKGROUNDS,
    NOUNS,
    Identity,
    Mention,
    Prompt,
    held_out_identity,
    sample_identity,
)
from models.references import names_of_identity, place_of_reference
from pipeline.evaluate.sets import Box, Protocol, SubjectSet
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
    seed: Annotated[int, Interval(ge=0)] = 20261127
    """Decides who is drawn."""


def world_protocol(world: World) -> Protocol:
    """The sets of it, the same each time."""
    people = [*_identities(world)]
    rng, sets = np.random.default_rng((world.seed, 1)), []
    for count in world.together:
        for number in range(world.sets or world.subjects):
            chosen = _chosen(people, count, number, rng)
            sets.append(_set(chosen, number, world))
    return Protocol(
        sets=tuple(sets), source="the miniature's procedural world; identities held out from all training"
    )


def _identities(world: World) -> Iterator[Identity]:
    rng, seen = np.random.default_rng((world.seed, 0)), set()
    for number in range(world.subjects):
        noun = NOUNS[number % len(NOUNS)]
        while (identity := sample_identity(rng, noun)) in seen or not held_out_identity(identity):
            pass
        seen.add(identity)
        yield identity


def _chosen(people: list[Identity], count: int, number: int, rng: np.random.Generator) -> list[Identity]:
    """Each in turn, with others of other nouns."""
    found = [people[number % len(people)]]
    for place in rng.permutation(len(people)):
        if len(found) < count and people[place].noun not in {each.noun for each in found}:
            found.append(people[place])
    return sorted(found)


def _set(identities: list[Identity], number: int, world: World) -> SubjectSet:
    places = [*BACKGROUNDS]
    shown = [places[(number + place) % len(places)] for place in range(world.prompts)]
    mentions = tuple(Mention(each.noun) for each in identities)
    boxes = _PLACES[len(identities)]
    return SubjectSet(
        name="+".join(each.id for each in identities),
        individuals=tuple(_individual(each, world.references) for each in identities),
        prompts=tuple(Prompt(mentions, place).text for place in shown),
        boxes=boxes,
        truth=tuple(_truth(identities, place, boxes, world) for place in shown),
    )


def _individual(identity: Identity, references: int) -> Individual:
    names = names_of_identity(identity, references)
    captions = [Prompt((Mention(identity.noun),), place_of_reference(k)).text for k in range(len(names))]
    return Individual(
        name=identity.id,
        word=identity.noun,
        references=names,
        captions=tuple(captions),
        prompt=Mention(identity.noun).text,
    )


def _truth(
    identities: list[Identity], place: str, boxes: tuple[Box, ...] | None, world: World
) -> Mapping[str, Any]:
    """Without references nobody is to look like anybody."""
    truth: dict[str, Any] = {"background": place}
    if world.references:
        truth["identities"] = [asdict(each) for each in identities]
    if boxes is not None:
        truth["boxes"] = [[*box] for box in boxes]
    return truth
