# SPDX-License-Identifier: Apache-2.0
"""Measure a set. In: pictures, entities, references. Out: each picture's values by name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from models.metrics.image_set import ImageSet, Pictured, Scores
from stages.base import Resources, Stage, TableFunction
from stages.finder import masks_of
from stages.images import decoded
from stages.pictured import REFERENCES, pictured, style_pictures
from stages.rows import Outcome, Row
from stages.set_row import SetRow
from stages.whole_set import set_function

VALUE = pa.struct([pa.field("name", pa.string()), pa.field("value", pa.float64())])


@dataclass(frozen=True, kw_only=True)
class Measure(Stage):
    """All metrics of an evaluation."""

    inputs: ClassVar[tuple[str, ...]] = ("source_meta", "image", "entities", REFERENCES.name)
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("scores", pa.list_(VALUE))])
    drops: ClassVar[tuple[str, ...]] = (REFERENCES.name,)
    whole: ClassVar[bool] = True

    metrics: Mapping[str, Any] = field(default_factory=dict)
    """By name; see `models.metrics`."""
    resources: Resources | None = None

    def setup(self) -> TableFunction:
        """Load all metrics."""
        measures = [metric.load() for metric in self.metrics.values()]

        def work(asked: list[SetRow], rows: list[Row]) -> Sequence[Outcome]:
            images = image_set(asked, rows)
            scores: list[Scores] = [found_of(picture) for picture in images.pictures]
            for metric, measure in zip(self.metrics, measures, strict=True):
                found = measure(images)
                if len(found) != len(scores):
                    raise IndexError(f"metric '{metric}' measured {len(found)} of {len(scores)} pictures")
                for known, more in zip(scores, found, strict=True):
                    known.update(_finite(more, metric))
            return [
                {"scores": [{"name": name, "value": value} for name, value in each.items()]}
                for each in scores
            ]

        return set_function(self, "measure", work)


def image_set(asked: Sequence[SetRow], rows: Sequence[Row]) -> ImageSet:
    """What metrics look at."""
    words = asked[0].words
    given = rows[0][REFERENCES.name], len(words)
    return ImageSet(
        words=words,
        prompts=tuple(row.prompt for row in asked),
        pictures=tuple(
            Pictured(decoded(row["image"]), tuple(masks_of(row["entities"] or [], words))) for row in rows
        ),
        references=pictured(*given),
        style=style_pictures(*given),
        truth=tuple(row.truth for row in asked),
    )


def _finite(scores: Scores, metric: str) -> Scores:
    """Numbers that means can be taken of, or a reason why this set has none."""
    for name, value in scores.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"metric '{metric}' says {value} for {name}")
    return scores


def found_of(picture: Pictured) -> Scores:
    """How many of the subjects were found at all."""
    return {"found": sum(mask is not None for mask in picture.masks) / len(picture.masks)}
