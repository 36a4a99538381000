# SPDX-License-Identifier: Apache-2.0
"""What stands where: a scene before it is drawn, in units of the picture's side."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.miniature.world.caption import caption_of
from models.miniature.world.identity import Identity, sample_identity
from models.miniature.world.vocabulary import BACKGROUNDS, NOUNS

Layout = Literal["free", "centred"]
_SIDES = {1: (0.50, 0.80), 2: (0.40, 0.56), 3: (0.34, 0.44)}
_COUNT_SHARES = (0.40, 0.38, 0.22)


@dataclass(frozen=True, slots=True)
class Placement:
    """A subject and where it stands."""

    identity: Identity
    centre: tuple[float, float]
    """x and y of the sprite's centre, in [0, 1]."""
    side: float
    """Extent of the shape's square, in [0, 1]."""
    angle: float
    """Clockwise tilt in degrees."""
    mirror: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """Subjects, back to front, before a background; `seed` fixes the background's texture."""

    background: str
    placements: tuple[Placement, ...]
    seed: tuple[int, ...]
    brightness: float = 1.0

    @property
    def caption(self) -> str:
        """The sentence that describes it."""
        return caption_of([placement.identity for placement in self.placements], self.background)


def sample_scene(seed: int, index: int, count: int | None = None, layout: Layout = "free") -> Scene:
    """The scene number `index` of a seed, always the same one.

    Args:
        seed: which series of scenes.
        index: which scene of the series.
        count: how many subjects, 1 to 3; drawn (40 %, 38 %, 22 %) if not given. No two share a noun.
        layout: `free`, or `centred` for one large subject near the middle.
    """
    rng = np.random.default_rng((seed, index))
    if layout == "centred":
        count = 1
    count = count or int(rng.choice((1, 2, 3), p=_COUNT_SHARES))
    nouns = rng.choice(NOUNS, size=count, replace=False)
    identities = [sample_identity(rng, str(noun)) for noun in nouns]
    low, high = (0.66, 0.74) if layout == "centred" else _SIDES[count]
    sides = rng.uniform(low, high, count)
    centres = _centred(rng) if layout == "centred" else _apart(rng, sides)
    placements = tuple(
        Placement(
            identity=identity,
            centre=(float(x), float(y)),
            side=float(side),
            angle=float(rng.uniform(-10, 10)),
            mirror=bool(rng.random() < 0.5),
        )
        for identity, side, (x, y) in zip(identities, sides, centres, strict=True)
    )
    background = str(rng.choice(list(BACKGROUNDS)))
    return Scene(background, placements, (seed, index, 1), float(rng.uniform(0.92, 1.06)))


def _centred(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.43, 0.57, (1, 2))


def _apart(rng: np.random.Generator, sides: np.ndarray) -> np.ndarray:
    """Centres inside the picture; of 60 draws the one whose squares overlap least."""
    reach = sides / 2
    draws = rng.uniform(0.9 * reach, 1 - 0.9 * reach, (60, 2, len(sides))).transpose(0, 2, 1)
    distance = np.abs(draws[:, :, None] - draws[:, None]).max(axis=-1)
    overlap = (0.92 * (reach[:, None] + reach) - distance).clip(min=0)
    worst = np.where(np.eye(len(sides), dtype=bool), 0, overlap).max(axis=(1, 2))
    return draws[worst.argmin()]
