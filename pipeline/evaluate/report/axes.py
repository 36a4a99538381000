# SPDX-License-Identifier: Apache-2.0
"""Scales and ticks of an evaluation's figures."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 650, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 200, 18, 46


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    @classmethod
    def of(cls, values: Sequence[float], begin: float, end: float, log: bool = False) -> Axis:
        """With some room around the values."""
        low, high = min(values), max(values)
        if log:
            return cls(math.log10(low), math.log10(high), begin, end, True)
        room = 0.06 * (high - low) or 0.05
        return cls(low - room, high + room, begin, end)

    def at(self, value: float) -> float:
        """The place of a value in pixels."""
        shown = math.log10(value) if self.log else value
        return self.begin + (shown - self.low) / ((self.high - self.low) or 1) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values within, some four to seven of them, or the powers of ten and their halves."""
        if self.log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            found = [m * 10.0**p for p in powers for m in (1, 2, 5)]
            return [v for v in found if self.low - 1e-9 <= math.log10(v) <= self.high + 1e-9]
        step = 10 ** math.floor(math.log10((self.high - self.low) / 4))
        step = next(step * m for m in (1, 2, 5, 10) if (self.high - self.low) / (step * m) <= 7)
        first = math.ceil(self.low / step)
        return [k * step for k in range(first, math.floor(self.high / step) + 1)]


def frame(across: Axis, up: Axis, titles: tuple[str, str]) -> str:
    """Lines and numbers of both axes."""
    parts = []
    for value in up.ticks():
        y = up.at(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="rule"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        )
    for value in across.ticks():
        x = across.at(value)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="rule"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.4g}</text>'
        )
    middle, (below, beside) = (LEFT + WIDTH - RIGHT) / 2, map(html.escape, titles)
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle" class="axis">{below}</text>'
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle" class="axis">'
        f"{beside}</text>"
    )
    return "".join(parts)


def spread(places: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Heights of labels near to where they belong, in the same order, not upon one another."""
    order = sorted(range(len(places)), key=places.__getitem__)
    apart = min(apart, (high - low) / max(1, len(places) - 1))
    found, last = [0.0] * len(places), low - apart
    for place in order:
        last = max(places[place], last + apart)
        found[place] = last
    over = last - high
    for place in reversed(order):
        if over <= 0:
            break
        found[place] -= over
        before = [found[k] for k in order[: order.index(place)]]
        over = max(before, default=low - apart) + apart - found[place]
    return found
