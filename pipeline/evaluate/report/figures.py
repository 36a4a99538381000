# SPDX-License-Identifier: Apache-2.0
"""An evaluation's figures as inline SVG: consistency against alignment, time against the number of images."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from pipeline.evaluate.config import EvaluateConfig
from pipeline.evaluate.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, frame
from pipeline.evaluate.report.markers import colour, legend, marker
from pipeline.evaluate.statistics import Estimate
from pipeline.evaluate.summary import Method

_COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000)


def pareto(
    methods: Sequence[Method], config: EvaluateConfig, x: str, y: str, names: Mapping[str, str]
) -> str:
    """A point a method with both intervals, settings of a curve joined, and the front; empty without points.

    Args:
        methods: summed up.
        config: says which settings are points of one curve.
        x: name of the value across; more is better.
        y: name of the value upwards; more is better.
        names: of values, for people.
    """
    shown = {
        method.name: (method.values[x], method.values[y]) for method in methods if {x, y} <= {*method.values}
    }
    if not shown:
        return ""
    across = Axis.of([v for p, _ in shown.values() for v in (p.low, p.high)], LEFT, WIDTH - RIGHT)
    up = Axis.of([v for _, p in shown.values() for v in (p.low, p.high)], HEIGHT - BOTTOM, TOP)
    places = {method.name: place for place, method in enumerate(methods)}
    drawn = [_front(shown, across, up), *_curves(shown, config, places, across, up)]
    drawn += [_point(across, up, *pair, places[name], name) for name, pair in shown.items()]
    titles = names.get(x, x), names.get(y, y)
    labels = [(places[name], name, up.at(pair[1].mean)) for name, pair in shown.items()]
    return _figure(
        f"{titles[1]} against {titles[0]}", frame(across, up, titles) + "".join(drawn) + legend(labels)
    )


def front_of(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of points that no other is better than in both, from left to right; more is better."""
    found = [
        name
        for name, (x, y) in points.items()
        if not any(a >= x and b >= y and (a, b) != (x, y) for a, b in points.values())
    ]
    return sorted(found, key=lambda name: points[name])


def times(methods: Sequence[Method]) -> str:
    """T(n), learning a subject and drawing n pictures of it; empty without times."""
    lines = {
        (place, method.name): [(n, method.seconds(n) or 0.0) for n in _COUNTS]
        for place, method in enumerate(methods)
        if method.seconds(1)
    }
    if not lines:
        return ""
    values = [seconds for points in lines.values() for _, seconds in points]
    across = Axis.of(_COUNTS, LEFT, WIDTH - RIGHT, log=True)
    up = Axis.of(values, HEIGHT - BOTTOM, TOP, log=True)
    drawn, names = [], []
    for (place, name), points in lines.items():
        path = " ".join(f"{across.at(n):.1f},{up.at(seconds):.1f}" for n, seconds in points)
        n, seconds = points[place % len(points)]
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour(place)}" stroke-width="1.8"/>')
        drawn.append(f'<g fill="{colour(place)}">{marker(place, across.at(n), up.at(seconds))}</g>')
        names.append((place, name, up.at(points[-1][1])))
    inside = frame(across, up, ("pictures of one subject", "seconds")) + "".join(drawn) + legend(names)
    return _figure("Time for so many pictures of one subject, learning included", inside)


def _front(shown: Mapping[str, tuple[Estimate, Estimate]], across: Axis, up: Axis) -> str:
    means = {name: (x.mean, y.mean) for name, (x, y) in shown.items()}
    steps = [means[name] for name in front_of(means)]
    path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in steps)
    return f'<polyline points="{path}" class="front"/>'


def _curves(
    shown: Mapping[str, tuple[Estimate, Estimate]],
    config: EvaluateConfig,
    places: Mapping[str, int],
    across: Axis,
    up: Axis,
) -> list[str]:
    curves: dict[str, list[str]] = {}
    for name in shown:
        curves.setdefault(config.settings[name].curve or name, []).append(name)
    drawn = []
    for names in curves.values():
        path = " ".join(f"{across.at(shown[n][0].mean):.1f},{up.at(shown[n][1].mean):.1f}" for n in names)
        stroke = colour(places[names[0]])
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-dasharray="4 3"/>')
    return drawn


def _point(across: Axis, up: Axis, x: Estimate, y: Estimate, place: int, name: str) -> str:
    told = f"{name}: {x.mean:.3f} ({x.low:.3f} to {x.high:.3f}), {y.mean:.3f} ({y.low:.3f} to {y.high:.3f})"
    cx, cy = across.at(x.mean), up.at(y.mean)
    left, right = across.at(x.low), across.at(x.high)
    return (
        f'<g stroke="{colour(place)}" fill="{colour(place)}"><title>{html.escape(told)}</title>'
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{cy:.1f}" y2="{cy:.1f}" opacity=".55"/>'
        f'<line x1="{cx:.1f}" x2="{cx:.1f}" y1="{up.at(y.low):.1f}" y2="{up.at(y.high):.1f}" opacity=".55"/>'
        f"{marker(place, cx, cy)}</g>"
    )


def _figure(title: str, inside: str) -> str:
    told = html.escape(title)
    return (
        f'<figure class="panel"><figcaption><b>{told}</b></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}">{inside}</svg></figure>'
    )
