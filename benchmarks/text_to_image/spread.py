# SPDX-License-Identifier: Apache-2.0
"""Whether what a prompt leaves open differs from seed to seed, and from prompt to prompt."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations
from math import log

from models.miniature.judge import Reading
from models.miniature.judge.network import ATTRIBUTES
from models.miniature.world import BACKGROUNDS, NOUNS, Mention, Prompt

OPEN = ("body", "accent", "pattern", "build", "trait")
"""What a prompt of a noun and a background leaves open; in the world each is drawn evenly."""


def open_prompts(seeds: int) -> list[Prompt]:
    """Every noun `seeds` times, its backgrounds in turn."""
    backgrounds = list(BACKGROUNDS)
    return [
        Prompt((Mention(noun),), backgrounds[seed % len(backgrounds)])
        for noun in NOUNS
        for seed in range(seeds)
    ]


def relative_entropy(values: Iterable[Hashable], possible: int) -> float:
    """Entropy of what was drawn over that of even draws, in [0, 1]; a little low for few draws."""
    counts = Counter(values)
    total = sum(counts.values())
    return -sum(count / total * log(count / total) for count in counts.values()) / log(possible)


def spread(readings: Sequence[Reading], seeds: int) -> dict[str, float]:
    """By attribute, the mean over nouns of the entropy over seeds, see `relative_entropy`."""
    found = {}
    for name in OPEN:
        rows = [
            [
                getattr(reading.subjects[0].identity, name)
                for reading in readings[start : start + seeds]
                if reading.subjects
            ]
            for start in range(0, len(readings), seeds)
        ]
        found[name] = sum(relative_entropy(row, len(ATTRIBUTES[name])) for row in rows) / len(rows)
    return found


def same_in_pairs(readings: Sequence[Reading], set_size: int, name: str) -> float:
    """Share of pairs within sets of pictures whose largest subjects have the same value of an attribute."""
    same = pairs = 0
    for start in range(0, len(readings), set_size):
        shown = [
            getattr(reading.subjects[0].identity, name)
            for reading in readings[start : start + set_size]
            if reading.subjects
        ]
        for one, other in combinations(shown, 2):
            pairs, same = pairs + 1, same + (one == other)
    return same / max(1, pairs)
