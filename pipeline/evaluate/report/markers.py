# SPDX-License-Identifier: Apache-2.0
"""What settings are told apart by in figures: a number, a shape and a colour."""

from __future__ import annotations

import html
from collections.abc import Sequence

from pipeline.evaluate.report.axes import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, spread

_HUES = (212, 28, 140, 330, 268, 48, 184, 0)
_SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
    "M-4.6 -4.6h9.2v9.2h-9.2z",
    "M0 -6l5.6 9.6h-11.2z",
    "M0 -6.4l5.4 6.4l-5.4 6.4l-5.4 -6.4z",
    "M0 6l5.6 -9.6h-11.2z",
)
"""Circle, square, triangle, diamond, triangle on its tip: no two of forty settings have hue and shape."""
_LETTERS = 25
"""Of a name beside a figure; the whole one is its title."""


def colour(place: int) -> str:
    """Of the setting at a place in the configuration."""
    return f"hsl({_HUES[place % len(_HUES)]} 62% var(--lightness))"


def marker(place: int, x: float, y: float) -> str:
    """The shape of a setting, with its number beside it."""
    shape = _SHAPES[place % len(_SHAPES)]
    return (
        f'<path d="{shape}" transform="translate({x:.1f} {y:.1f})" class="marker"/>'
        f'<text x="{x + 7:.1f}" y="{y - 5:.1f}" class="number" stroke="none">{place + 1}</text>'
    )


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def legend(names: Sequence[tuple[int, str, float]]) -> str:
    """Names at the right, with number and shape, at the height of what they are of.

    Args:
        names: of each setting its place, its name and the height in pixels.
    """
    heights = spread([y for _, _, y in names], 15, TOP + 6, HEIGHT - BOTTOM)
    left = WIDTH - RIGHT + 16
    return "".join(
        f'<path d="{_SHAPES[place % len(_SHAPES)]}" transform="translate({left} {height:.1f})" '
        f'style="fill:{colour(place)}"/>'
        f'<text x="{left + 10}" y="{height + 4:.1f}" class="name" style="fill:{colour(place)}">'
        f"<title>{html.escape(name)}</title>{place + 1} {html.escape(_short(name))}</text>"
        for (place, name, _), height in zip(names, heights, strict=True)
    )
