# SPDX-License-Identifier: Apache-2.0
"""Cases drawn by models, and what is told of their scores."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from benchmarks.subject_diffusion.cases import Case
from benchmarks.subject_diffusion.scores import READ, Scores, mean_of
from models.generation import TextToImage
from models.subject_diffusion.drawing import SubjectsToImage
from pipeline.evaluate import cells

SEED = 20261126
COUNTS = {1: 60, 2: 40}
"""Cases of one subject, and of two."""
COLUMNS = ("identity", "all", *READ, "background", "clip_i", "dino")
HEAD = f"| model | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}"
_BATCH = 24
Draw = Callable[[Sequence[Case], Sequence[int]], list[Image.Image]]


def base_drawer() -> Draw:
    """The base, which sees the prompts alone."""
    sampler = TextToImage(batch_size=_BATCH)
    pipeline = sampler.load()
    return lambda some, seeds: [*sampler.generate(pipeline, [case.prompt.text for case in some], seeds)]


def drawer(model: str, scales: Mapping[str, Any]) -> Draw:
    """A Subject-Diffusion.

    Args:
        model: folder or shipped name.
        scales: of the guidance, where they are not its usual ones.
    """
    drawing = SubjectsToImage(model=model, batch_size=_BATCH, **scales).load()

    def draw(some: Sequence[Case], seeds: Sequence[int]) -> list[Image.Image]:
        prompts = [case.prompt.text for case in some]
        references, labels = [case.references for case in some], [case.labels for case in some]
        boxes = [case.boxes for case in some]
        return [*drawing.generate(prompts, references, labels, boxes, seeds)]

    return draw


def seeds_of(number: int, cases: int) -> range:
    """Of the pictures of a round, which no other round has."""
    return range(SEED + number * cases, SEED + (number + 1) * cases)


def told(name: str, rows: Sequence[Sequence[Scores]]) -> str:
    """A line of a table.

    Args:
        name: of the model.
        rows: a row a case, a column a round.
    """
    return f"| {name} | {' | '.join(_told(rows, column) for column in COLUMNS)} |"


def less(ours: Sequence[Sequence[Scores]], theirs: Sequence[Sequence[Scores]]) -> list[list[Scores]]:
    """Differences, scores of the same case and round each."""
    pairs = [zip(*rows, strict=True) for rows in zip(ours, theirs, strict=True)]
    return [
        [{name: one[name] - other[name] for name in one.keys() & other.keys()} for one, other in row]
        for row in pairs
    ]


def _told(rows: Sequence[Sequence[Scores]], column: str) -> str:
    """A mean with its interval, and how far rounds are apart."""
    if column not in rows[0][0]:
        return "-"
    mean = cells.told(mean_of([[scores[column] for scores in row] for row in rows]))
    if column != "identity" and len(rows[0]) == 1:
        return mean
    by_round = [statistics.mean(row[number][column] for row in rows) for number in range(len(rows[0]))]
    return f"{mean}, seeds {min(by_round):.3f} to {max(by_round):.3f}"
