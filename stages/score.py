# SPDX-License-Identifier: Apache-2.0
"""How good the subjects are. In: image and entities. Out: the entities, with fill ratio and CLIP score.

Only what cannot be used at all is rejected; every score is stored, thresholds are for the reader.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from models.backends.bounds import Count, Share, Tally
from models.backends.protocols import Similarity
from stages.backend import Backend
from stages.base import Resources, Stage, TableFunction
from stages.boxes import areas
from stages.columns import ENTITY
from stages.images import decoded
from stages.rows import Outcome, Reject, Row, table_function


@dataclass(frozen=True, kw_only=True)
class Score(Stage):
    """Measures masks, and the likeness of crop and label where a CLIP is configured."""

    inputs: ClassVar[tuple[str, ...]] = ("image", "entities")
    outputs: ClassVar[pa.Schema] = pa.schema([pa.field("entities", pa.list_(ENTITY))])
    version: ClassVar[int] = 2

    similarity: Backend[Similarity] | None = None
    """A CLIP that compares each crop with `a photo of a LABEL`; none by default."""
    min_mask_area: Tally = 1
    """Pixels; an entity with a smaller mask goes."""
    min_fill: Share = 0.0
    """Smallest share of its box that a mask may fill (Subject-Diffusion's loader: 0.6)."""
    min_entities: Tally = 1
    """Fewer entities left reject the sample."""
    batch_size: Count = 16
    """Images at a time."""
    resources: Resources | None = None

    def setup(self) -> TableFunction:
        """Load the CLIP, if there is one."""
        clip = self.similarity.load() if self.similarity else None

        def work(rows: list[Row]) -> list[Outcome]:
            likeness = _likeness(clip, rows) if clip else [[None] * len(row["entities"]) for row in rows]
            return [self._outcome(row, scores) for row, scores in zip(rows, likeness, strict=True)]

        return table_function(self, "score", work, self.batch_size)

    def _outcome(self, row: Row, likeness: list[float] | list[None]) -> Outcome:
        scored = [
            entity | {"fill": _fill(entity), "clip_sim": score}
            for entity, score in zip(row["entities"], likeness, strict=True)
        ]
        kept = [e for e in scored if e["area"] >= self.min_mask_area and e["fill"] >= self.min_fill]
        columns = {"entities": renumbered(kept)}
        if len(kept) < self.min_entities:
            return Reject("too_few_masks", f"{len(kept)} of {len(scored)} masks are large enough", columns)
        return columns


def renumbered(entities: list[Row]) -> list[Row]:
    """Entities with ids 1, 2, ... again, and `contained_in` following its entity or -1 if that is gone."""
    new = {entity["id"]: place for place, entity in enumerate(entities, 1)}
    return [
        entity | {"id": new[entity["id"]], "contained_in": new.get(entity["contained_in"], -1)}
        for entity in entities
    ]


def _fill(entity: Row) -> float:
    box_area = float(areas(np.array([entity["box"]], dtype=np.float64))[0])
    return min(entity["area"] / max(box_area, 1.0), 1.0)


def _likeness(clip: Similarity, rows: list[Row]) -> list[list[float]]:
    crops, labels = [], []
    for row in rows:
        image = decoded(row["image"])
        for entity in row["entities"]:
            x1, y1, x2, y2 = entity["box"]
            crops.append(
                image.crop((int(x1), int(y1), max(int(x1) + 1, round(x2)), max(int(y1) + 1, round(y2))))
            )
            labels.append(f"a photo of a {entity['lemma']}")
    scores = iter(clip.similarity(crops, labels))
    return [[next(scores) for _ in row["entities"]] for row in rows]
