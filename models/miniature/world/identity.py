# SPDX-License-Identifier: Apache-2.0
"""Who a subject is: everything that stays the same from picture to picture."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from models.miniature.world.vocabulary import BUILDS, COLOURS, NOUNS, PATTERNS, TRAITS

MARKS = ("noun", "body", "accent", "pattern")
"""What has to be right for a picture to show an identity; shape details are read less surely."""


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """One particular subject; two subjects are the same one exactly if these fields are equal."""

    noun: str
    body: str
    accent: str
    pattern: str
    build: str
    trait: int

    @property
    def id(self) -> str:
        """A readable name, unique among all identities: `cat-red-blue-striped-slim-1`."""
        return "-".join(str(value) for value in asdict(self).values())


def all_identities() -> Iterator[Identity]:
    """Every identity once, in a fixed order; body and accent never share a colour."""
    for values in product(NOUNS, COLOURS, COLOURS, PATTERNS, BUILDS, TRAITS):
        identity = Identity(*values)
        if identity.body != identity.accent:
            yield identity


def sample_identity(rng: np.random.Generator, noun: str | None = None) -> Identity:
    """A uniformly drawn identity, of the given noun if there is one."""
    body, accent = rng.choice(list(COLOURS), size=2, replace=False)
    return Identity(
        noun=noun or str(rng.choice(NOUNS)),
        body=str(body),
        accent=str(accent),
        pattern=str(rng.choice(PATTERNS)),
        build=str(rng.choice(list(BUILDS))),
        trait=int(rng.choice(TRAITS)),
    )
