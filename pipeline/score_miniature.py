# SPDX-License-Identifier: Apache-2.0
"""A build of rendered scenes against the truth: are the nouns, boxes and masks right?

Every scene counts, also those that were rejected. A box is right if a subject of its noun overlaps it
with an IoU of at least 0.5; each subject is found at most once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pycocotools import mask as coco_mask

from pipeline.dataset.layout import all_shards
from pipeline.errors import UserError
from stages.boxes import ious

Scene = Mapping[str, Any]
"""A line of truth.jsonl."""
Row = Mapping[str, Any]
"""A row of a shard's parquet."""


@dataclass(slots=True)
class Hits:
    """Right answers among all answers, and among all that was to be found."""

    right: int = 0
    answers: int = 0
    wanted: int = 0

    def add(self, right: int, answers: int, wanted: int) -> None:
        """Count one scene."""
        self.right += right
        self.answers += answers
        self.wanted += wanted

    def __str__(self) -> str:
        recall, precision = self.right / max(self.wanted, 1), self.right / max(self.answers, 1)
        counts = f"({self.right} right, {self.wanted} wanted, {self.answers} answers)"
        return f"recall {recall:.3f}  precision {precision:.3f}  {counts}"


@dataclass(slots=True)
class Scores:
    """What is measured over a dataset."""

    few_nouns: Hits = field(default_factory=Hits)
    many_nouns: Hits = field(default_factory=Hits)
    boxes: Hits = field(default_factory=Hits)
    mask_ious: list[float] = field(default_factory=list)


def score_lines(dataset: Path, truth: Path) -> Iterator[str]:
    """Text: noun, box and mask scores of the whole chain."""
    scores = score_dataset(dataset, truth)
    yield f"caption nouns, scenes of 1-2 subjects   {scores.few_nouns}"
    yield f"caption nouns, scenes of 3 subjects     {scores.many_nouns}"
    yield f"boxes at IoU 0.5, whole chain           {scores.boxes}"
    mean = np.mean(scores.mask_ious or [0.0])
    yield f"mask IoU over found instances           mean {mean:.3f}  ({len(scores.mask_ious)} masks)"


def score_dataset(dataset: Path, truth: Path) -> Scores:
    """Compare every scene of `truth.jsonl` with its row.

    Raises:
        UserError: if a file is missing or damaged, or if the dataset was not built from these scenes.
    """
    rows = _rows(dataset)
    scores = Scores()
    for scene in _scenes(truth):
        row = rows.get(scene["file"])
        if row is None:
            raise UserError(
                f"{dataset} has no row for {scene['file']} of {truth}: give the dataset of these scenes"
            )
        found = [noun["lemma"] for noun in row["nouns"] or []]
        wanted = {item["noun"] for item in scene["objects"]}
        hits = scores.few_nouns if len(wanted) <= 2 else scores.many_nouns
        hits.add(len(wanted & set(found)), len(found), len(wanted))
        entities = row["entities"] or [] if row["status"] == "ok" else []
        pairs = matched(entities, scene["objects"])
        scores.boxes.add(len(pairs), len(entities), len(scene["objects"]))
        scores.mask_ious += [_mask_iou(entity["rle"], item["rle"]) for entity, item in pairs]
    return scores


def matched(entities: Sequence[Row], objects: Sequence[Scene]) -> list[tuple[Row, Scene]]:
    """Pairs of an entity and the object that it found, best scores first."""
    left, pairs = list(objects), []
    for entity in sorted(entities, key=lambda entity: -entity["det_score"]):
        same = [item for item in left if item["noun"] == entity["lemma"]]
        if not same:
            continue
        iou = ious(np.array([entity["box"]]), np.array([item["box"] for item in same]))[0]
        if iou.max() >= 0.5:
            best = same[int(iou.argmax())]
            left.remove(best)
            pairs.append((entity, best))
    return pairs


def _rows(dataset: Path) -> dict[str, Row]:
    columns = ["source_key", "status", "nouns", "entities"]
    rows: dict[str, Row] = {}
    for shard in all_shards(dataset):
        try:
            table = pq.read_table(shard.parquet, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{shard.parquet} is damaged; run `subjectforge verify {dataset}`") from error
        rows |= {Path(row["source_key"]).name: row for row in table.to_pylist()}
    return rows


def _scenes(truth: Path) -> Iterator[Scene]:
    try:
        for line in truth.read_text(encoding="utf-8").splitlines():
            scene = json.loads(line)
            _ = scene["file"], scene["objects"]
            yield scene
    except OSError as error:
        raise UserError(f"cannot read the truth {truth}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{truth} is not the truth of rendered scenes: {error!r}") from error


def _mask_iou(one: Row, other: Row) -> float:
    return float(coco_mask.iou([dict(one)], [dict(other)], [0])[0][0])  # pyright: ignore[reportArgumentType]
