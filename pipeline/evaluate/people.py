# SPDX-License-Identifier: Apache-2.0
"""Who is drawn in the miniature's protocol, and who together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from models.miniature.world import NOUNS, Identity, held_out_identity, sample_identity
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.evaluate.world import World

_TRIES = 100
"""To find subjects that are in no set yet."""


def different_identities(world: World) -> Iterator[Identity]:
    """Of all nouns in turn, none twice, each held out from all training."""
    rng, seen = np.random.default_rng((world.seed, 0)), set()
    for number in range(world.subjects):
        noun = NOUNS[number % len(NOUNS)]
        while (identity := sample_identity(rng, noun)) in seen or not held_out_identity(identity):
            pass
        seen.add(identity)
        yield identity


def all_chosen(people: list[Identity], world: World) -> Iterator[tuple[int, list[Identity]]]:
    """Who are drawn together, no two sets the same, each with its number among those of as many subjects.

    Raises:
        UserError: there are too few for that.
    """
    rng, seen = np.random.default_rng((world.seed, 1)), set()
    for count in world.together:
        for number in range(world.sets or world.subjects):
            tries = (_chosen(people, count, number, rng) for _ in range(_TRIES))
            chosen = next((each for each in tries if tuple(each) not in seen), None)
            if chosen is None:
                raise UserError(
                    f"world: of {world.subjects} subjects there are no {world.sets or world.subjects} "
                    f"different sets of {count}; raise world.subjects, or lower world.sets"
                )
            seen.add(tuple(chosen))
            yield number, chosen


def _chosen(people: list[Identity], count: int, number: int, rng: np.random.Generator) -> list[Identity]:
    """Each in turn, with others of other nouns."""
    found = [people[number % len(people)]]
    for place in rng.permutation(len(people)):
        if len(found) < count and people[place].noun not in {each.noun for each in found}:
            found.append(people[place])
    return sorted(found)
