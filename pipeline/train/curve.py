# SPDX-License-Identifier: Apache-2.0
"""Line charts as inline SVG."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 420, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 10, 10, 24
_POINTS = 300
_COLOURS = ("var(--accent)", "var(--rejected)", "var(--error)", "var(--quiet)")
Points = Sequence[tuple[float, float]]
"""Step and value."""


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value in pixels."""
        return self.begin + (value - self.low) / ((self.high - self.low) or 1) * (self.end - self.begin)


def chart(title: str, lines: Mapping[str, Points]) -> str:
    """A figure with one line for each name; empty if there is nothing to draw.

    Args:
        title: of the figure.
        lines: their points, in order of steps; values that are no numbers are left out.
    """
    thin = {name: thinned([p for p in points if math.isfinite(p[1])]) for name, points in lines.items()}
    thin = {name: points for name, points in thin.items() if points}
    if not thin:
        return ""
    steps = [step for points in thin.values() for step, _ in points]
    values = [value for points in thin.values() for _, value in points]
    across = _Axis(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    up = _Axis(min(values), max(values), _HEIGHT - _BOTTOM, _TOP)
    drawn = [_line(points, across, up, place) for place, points in enumerate(thin.values())]
    named = _legend([*thin]) if len(thin) > 1 else ""
    last = ", ".join(f"{name} {points[-1][1]:.4g}" for name, points in thin.items())
    told = html.escape(f"{title}; last: {last}")
    return (
        f'<figure class="panel"><figcaption><b>{html.escape(title)}</b>{named}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}">'
        f"{_grid(across, up)}{''.join(drawn)}</svg></figure>"
    )


def thinned(points: Points) -> Points:
    """Means of neighbours, so that there are 300 at most."""
    size = -(-len(points) // _POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _line(points: Points, across: _Axis, up: _Axis, place: int) -> str:
    colour = _COLOURS[place % len(_COLOURS)]
    path = " ".join(f"{across.at(step):.1f},{up.at(value):.1f}" for step, value in points)
    if len(points) == 1:
        x, y = path.split(",")
        return f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _grid(across: _Axis, up: _Axis) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        value = up.low + share * (up.high - up.low)
        y = up.at(value)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for step, anchor in ((across.low, "start"), (across.high, "end")):
        parts.append(
            f'<text x="{across.at(step):.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{step:.0f}</text>'
        )
    return "".join(parts)


def _legend(names: Sequence[str]) -> str:
    colours = [_COLOURS[place % len(_COLOURS)] for place in range(len(names))]
    return "".join(
        f' <span class="key"><i style="background:{colour}"></i>{html.escape(name)}</span>'
        for colour, name in zip(colours, names, strict=True)
    )
