# SPDX-License-Identifier: Apache-2.0
"""What each noun looks like: a list of polygons in the square [-1, 1] x [-1, 1], y down.

Parts are painted in order. A part's role says which paint it gets: `body` and `accent` take the
identity's colours (the pattern goes on the body only), `dark` and `light` are the same for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Role = Literal["body", "accent", "dark", "light"]
Points = np.ndarray
"""float64 (n, 2): x and y of the corners."""


@dataclass(frozen=True, slots=True)
class Part:
    """A filled polygon and the paint it gets."""

    role: Role
    points: Points


def ellipse(cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Points:
    """An ellipse, or the chord-closed arc of it from `start` to `end` degrees (0 right, 90 down)."""
    angles = np.deg2rad(np.linspace(start, end, 40))
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float) -> Points:
    """An axis-aligned rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def polygon(*corners: tuple[float, float]) -> Points:
    """A polygon from its corners."""
    return np.array(corners, dtype=float)


def bar(x0: float, y0: float, x1: float, y1: float, width: float) -> Points:
    """A straight bar of the given width from one point to another."""
    start, end = np.array([x0, y0]), np.array([x1, y1])
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]]) * width / 2
    return np.stack([start + across, end + across, end - across, start - across])


def _bird(trait: int) -> list[Part]:
    """Trait 1 has a crest."""
    crest = [Part("accent", polygon((0.30, -0.75), (0.42, -1.0), (0.55, -0.75)))]
    return [
        Part("dark", bar(-0.02, 0.5, -0.02, 0.98, 0.08)),
        Part("dark", bar(0.22, 0.5, 0.22, 0.98, 0.08)),
        Part("accent", polygon((-0.45, 0.05), (-1.0, -0.3), (-0.95, 0.3), (-0.4, 0.45))),
        Part("body", ellipse(0.0, 0.2, 0.62, 0.45)),
        Part("body", ellipse(0.45, -0.42, 0.36, 0.36)),
        *(crest if trait else []),
        Part("dark", polygon((0.76, -0.5), (1.0, -0.35), (0.76, -0.25))),
        Part("accent", ellipse(-0.12, 0.18, 0.36, 0.22)),
        Part("light", ellipse(0.52, -0.5, 0.11, 0.11)),
        Part("dark", ellipse(0.54, -0.5, 0.06, 0.06)),
    ]


def _boat(trait: int) -> list[Part]:
    """Trait 1 has two sails."""
    second = [Part("accent", polygon((-0.1, -0.7), (-0.1, 0.22), (-0.72, 0.22)))]
    return [
        Part("dark", bar(0.0, -1.0, 0.0, 0.4, 0.1)),
        Part("accent", polygon((0.07, -0.95), (0.85, 0.22), (0.07, 0.22))),
        *(second if trait else []),
        Part("body", polygon((-1.0, 0.32), (1.0, 0.32), (0.65, 0.95), (-0.65, 0.95))),
    ]


def _car(trait: int) -> list[Part]:
    """Trait 1 has a roof rack."""
    rack = [Part("dark", box(-0.4, -0.66, 0.3, -0.56))]
    return [
        *(rack if trait else []),
        Part("accent", polygon((-0.6, 0.0), (-0.42, -0.55), (0.35, -0.55), (0.62, 0.0))),
        Part("light", polygon((-0.42, -0.04), (-0.31, -0.4), (-0.06, -0.4), (-0.06, -0.04))),
        Part("light", polygon((0.06, -0.04), (0.06, -0.4), (0.26, -0.4), (0.44, -0.04))),
        Part("body", polygon((-1, 0.05), (-0.9, -0.05), (0.9, -0.05), (1, 0.2), (1, 0.5), (-1, 0.5))),
        Part("dark", ellipse(-0.52, 0.5, 0.25, 0.25)),
        Part("dark", ellipse(0.52, 0.5, 0.25, 0.25)),
        Part("accent", ellipse(-0.52, 0.5, 0.11, 0.11)),
        Part("accent", ellipse(0.52, 0.5, 0.11, 0.11)),
    ]


def _cat(trait: int) -> list[Part]:
    """Trait 1 holds its tail up."""
    up = polygon((0.4, 0.8), (0.75, 0.5), (0.78, -0.3), (0.98, -0.3), (0.95, 0.65), (0.5, 0.98))
    down = polygon((0.35, 0.7), (0.9, 0.72), (1.0, 0.85), (0.9, 0.98), (0.35, 0.98))
    return [
        Part("body", up if trait else down),
        Part("body", ellipse(0, 0.5, 0.52, 0.5)),
        Part("accent", ellipse(0, 0.6, 0.28, 0.34)),
        Part("body", polygon((-0.58, -0.3), (-0.56, -1.0), (-0.1, -0.65))),
        Part("body", polygon((0.58, -0.3), (0.56, -1.0), (0.1, -0.65))),
        Part("body", ellipse(0, -0.32, 0.6, 0.46)),
        Part("accent", polygon((-0.46, -0.62), (-0.47, -0.84), (-0.3, -0.7))),
        Part("accent", polygon((0.46, -0.62), (0.47, -0.84), (0.3, -0.7))),
        Part("light", ellipse(-0.25, -0.38, 0.15, 0.16)),
        Part("light", ellipse(0.25, -0.38, 0.15, 0.16)),
        Part("dark", ellipse(-0.22, -0.36, 0.07, 0.1)),
        Part("dark", ellipse(0.22, -0.36, 0.07, 0.1)),
        Part("dark", polygon((-0.08, -0.16), (0.08, -0.16), (0, -0.05))),
    ]


def _dog(trait: int) -> list[Part]:
    """Trait 1 has short legs."""
    foot = 0.7 if trait else 0.95
    legs = [Part("body", box(x, 0.2, x + 0.2, foot)) for x in (-0.72, -0.42, 0.12, 0.4)]
    return [
        Part("body", polygon((-0.7, -0.1), (-1.0, -0.75), (-0.86, -0.8), (-0.5, -0.15))),
        *legs,
        Part("body", polygon((-0.78, -0.2), (0.55, -0.2), (0.62, 0.4), (-0.78, 0.4))),
        Part("accent", polygon((-0.55, -0.2), (0.05, -0.2), (0.0, 0.16), (-0.5, 0.16))),
        Part(
            "body", polygon((0.3, -0.8), (0.72, -0.8), (1.0, -0.5), (1.0, -0.28), (0.62, -0.05), (0.3, -0.1))
        ),
        Part("accent", polygon((0.24, -0.82), (0.48, -0.82), (0.46, -0.2), (0.2, -0.26))),
        Part("dark", ellipse(0.96, -0.46, 0.09, 0.09)),
        Part("dark", ellipse(0.64, -0.58, 0.07, 0.07)),
    ]


def _fish(trait: int) -> list[Part]:
    """Trait 1 has a tall back fin."""
    fin = (-0.05, -0.95) if trait else (0.0, -0.68)
    return [
        Part("accent", polygon((-0.4, 0.0), (-1.0, -0.55), (-0.85, 0.0), (-1.0, 0.55))),
        Part("accent", polygon((-0.3, -0.35), fin, (0.4, -0.4))),
        Part("accent", polygon((-0.15, 0.4), (-0.1, 0.72), (0.25, 0.4))),
        Part("body", ellipse(0.25, 0, 0.75, 0.52)),
        Part("light", ellipse(0.66, -0.12, 0.14, 0.14)),
        Part("dark", ellipse(0.69, -0.12, 0.08, 0.08)),
        Part("accent", ellipse(0.15, 0.1, 0.2, 0.12)),
    ]


def _flower(trait: int) -> list[Part]:
    """Trait 1 has two leaves instead of one."""
    angles = np.deg2rad(np.arange(0, 360, 60))
    petals = [ellipse(0.4 * np.sin(a), -0.4 + 0.4 * np.cos(a), 0.27, 0.27) for a in angles]
    leaves = [
        polygon((0.0, 0.8), (0.55, 0.35), (0.6, 0.65)),
        polygon((0.0, 0.9), (-0.55, 0.45), (-0.6, 0.75)),
    ]
    return [
        Part("dark", bar(0, 0.1, 0, 1.0, 0.13)),
        *(Part("accent", leaf) for leaf in leaves[: 1 + trait]),
        *(Part("body", petal) for petal in petals),
        Part("accent", ellipse(0, -0.4, 0.27, 0.27)),
    ]


def _house(trait: int) -> list[Part]:
    """Trait 1 has a chimney."""
    chimney = [Part("dark", box(0.42, -0.92, 0.65, -0.35))]
    return [
        *(chimney if trait else []),
        Part("body", box(-0.75, -0.2, 0.75, 0.95)),
        Part("accent", polygon((-1.0, -0.15), (0.0, -1.0), (1.0, -0.15))),
        Part("dark", box(-0.15, 0.35, 0.2, 0.95)),
        Part("light", box(-0.58, 0.1, -0.28, 0.42)),
        Part("light", box(0.33, 0.1, 0.6, 0.42)),
    ]


def _mug(trait: int) -> list[Part]:
    """Trait 1 steams."""
    steam = [Part("light", bar(x, -0.98, x - 0.08, -0.68, 0.09)) for x in (-0.4, -0.05)]
    return [
        *(steam if trait else []),
        Part("accent", ellipse(0.5, 0.15, 0.5, 0.48)),
        Part("light", ellipse(0.5, 0.15, 0.26, 0.25)),
        Part("body", polygon((-0.8, -0.6), (0.5, -0.6), (0.44, 0.9), (-0.74, 0.9))),
        Part("accent", box(-0.77, 0.45, 0.46, 0.7)),
        Part("dark", ellipse(-0.15, -0.6, 0.65, 0.13)),
    ]


def _robot(trait: int) -> list[Part]:
    """Trait 1 has two antennas."""
    roots = (-0.25, 0.25) if trait else (0.0,)
    return [
        *(Part("dark", bar(x, -0.98, x, -0.7, 0.1)) for x in roots),
        Part("accent", box(-0.38, 0.5, -0.1, 1.0)),
        Part("accent", box(0.1, 0.5, 0.38, 1.0)),
        Part("accent", box(-0.92, -0.15, -0.55, 0.12)),
        Part("accent", box(0.55, -0.15, 0.92, 0.12)),
        Part("accent", box(-0.92, -0.15, -0.72, 0.5)),
        Part("accent", box(0.72, -0.15, 0.92, 0.5)),
        Part("body", box(-0.58, -0.2, 0.58, 0.62)),
        Part("body", box(-0.45, -0.78, 0.45, -0.24)),
        Part("light", ellipse(-0.2, -0.52, 0.13, 0.13)),
        Part("light", ellipse(0.2, -0.52, 0.13, 0.13)),
        Part("dark", ellipse(-0.2, -0.52, 0.06, 0.06)),
        Part("dark", ellipse(0.2, -0.52, 0.06, 0.06)),
        Part("accent", box(-0.28, 0.05, 0.28, 0.38)),
    ]


def _tree(trait: int) -> list[Part]:
    """Trait 1 has three tiers instead of two."""
    tops = (-1.0, -0.6, -0.15) if trait else (-1.0, -0.35)
    step = 0.7 if trait else 0.95
    tiers = [
        polygon((0, top), (0.5 + 0.18 * i, top + step), (-0.5 - 0.18 * i, top + step))
        for i, top in enumerate(tops)
    ]
    return [
        Part("accent", box(-0.2, 0.5, 0.2, 1.0)),
        *(Part("body", tier) for tier in reversed(tiers)),
        Part("accent", ellipse(0.0, tops[-1] + step - 0.2, 0.13, 0.13)),
    ]


def _turtle(trait: int) -> list[Part]:
    """Trait 1 holds its head high."""
    head = (0.8, -0.32) if trait else (0.82, 0.22)
    return [
        Part("accent", bar(0.5, 0.35, head[0] - 0.05, head[1], 0.24)),
        Part("accent", ellipse(*head, 0.2, 0.19)),
        Part("dark", ellipse(head[0] + 0.06, head[1] - 0.05, 0.06, 0.06)),
        Part("accent", box(-0.6, 0.35, -0.3, 0.78)),
        Part("accent", box(0.18, 0.35, 0.48, 0.78)),
        Part("accent", polygon((-0.7, 0.2), (-1.0, 0.45), (-0.7, 0.45))),
        Part("body", ellipse(-0.06, 0.42, 0.75, 0.92, 180, 360)),
    ]


SHAPES: dict[str, Callable[[int], list[Part]]] = {
    "bird": _bird,
    "boat": _boat,
    "car": _car,
    "cat": _cat,
    "dog": _dog,
    "fish": _fish,
    "flower": _flower,
    "house": _house,
    "mug": _mug,
    "robot": _robot,
    "tree": _tree,
    "turtle": _turtle,
}
"""Noun to a function from trait to parts, back to front."""
