# SPDX-License-Identifier: Apache-2.0
"""One pass over the shards' tables: counts and histograms that do not grow with the dataset."""

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa

from pipeline.dataset.shard_table import shard_table
from pipeline.report.histogram import Histogram
from stages.columns import OK
from stages.shard.files import ShardFiles

LIGHT = ("key", "status", "stage", "reason", "width", "height", "caption", "entities")
_BATCH_ROWS = 4096


def light_batches(shard: ShardFiles, replaced: Collection[str] = ()) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches of a shard's rows without its masks, each with the place of its first row.

    Args:
        shard: whose rows.
        replaced: keys of rows to leave out, because a later shard has newer ones.

    Raises:
        UserError: the table cannot be read.
    """
    first_row = 0
    with shard_table(shard) as file:
        leaves = (file.schema.column(index).path for index in range(len(file.schema)))
        wanted = [leaf for leaf in leaves if leaf.split(".")[0] in LIGHT and ".rle." not in leaf]
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
            for start, length in _runs(batch["key"].to_pylist(), replaced):
                yield first_row + start, batch.slice(start, length)
            first_row += batch.num_rows


def _runs(keys: list[str], without: Collection[str]) -> Iterator[tuple[int, int]]:
    """Start and length of what lies between the keys to leave out."""
    ends = [index for index, key in enumerate(keys) if key in without] if without else []
    for before, after in zip([-1, *ends], [*ends, len(keys)], strict=True):
        if after - before > 1:
            yield before + 1, after - before - 1


def label_of(lemma: str | None, text: str | None) -> str:
    """What an entity is counted and found as."""
    return lemma if lemma is not None else text or ""


class Totals:
    """What the whole dataset adds up to. Labels grow with the vocabulary, all else has a fixed size."""

    def __init__(self) -> None:
        self.status: Counter[str] = Counter()
        self.lost: Counter[tuple[str, str, str]] = Counter()
        """Rows by (stage, status, reason), for rows that are not `ok`."""
        self.labels: Counter[str] = Counter()
        """Instances of `ok` rows by label."""
        self.histograms = {
            "instances": Histogram("Instances in an image", 0, 16, 16, whole=True),
            "box_score": Histogram("Box score", 0, 1, 40),
            "mask_score": Histogram("Mask score", 0, 1, 40),
            "mask_area": Histogram("Mask area, share of the image", 0, 1, 40),
            "fill": Histogram("Mask area, share of its box", 0, 1, 40),
            "caption_words": Histogram("Words in a caption", 0, 40, 40, whole=True),
        }

    def add(self, batch: pa.RecordBatch) -> np.ndarray:
        """Count a batch; return each row's score, float (rows,).

        The score of a row is that of its weakest instance, box score times mask score; NaN for rows
        that are not `ok` or have no instance.
        """
        self.status.update(batch["status"].to_pylist())
        ledger = (batch[name].to_pylist() for name in ("stage", "status", "reason"))
        self.lost.update(
            (stage or "?", status, reason or "?")
            for stage, status, reason in zip(*ledger, strict=True)
            if status != OK
        )
        alive = np.array([status == OK for status in batch["status"].to_pylist()], bool)
        scores = np.full(batch.num_rows, np.nan)
        scores[alive] = self._add_samples(batch.filter(pa.array(alive)))
        return scores

    def _add_samples(self, samples: pa.RecordBatch) -> np.ndarray:
        lists = samples["entities"]
        owners = np.asarray(lists.value_parent_indices())
        flat = lists.flatten()
        entities = dict(zip((field.name for field in flat.type), flat.flatten(), strict=True))
        box_scores, mask_scores, areas, fills = (
            _numbers(entities[name]) for name in ("det_score", "mask_score", "area", "fill")
        )
        pixels = (_numbers(samples["width"]) * _numbers(samples["height"]))[owners]
        words = [len(caption.split()) for caption in samples["caption"].to_pylist() if caption is not None]
        values = {
            "instances": np.bincount(owners, minlength=samples.num_rows),
            "box_score": box_scores,
            "mask_score": mask_scores,
            "mask_area": areas / pixels,
            "fill": fills,
            "caption_words": np.array(words, np.int64),
        }
        for name, numbers in values.items():
            self.histograms[name].add(numbers)
        for lemma, text in zip(entities["lemma"].to_pylist(), entities["text"].to_pylist(), strict=True):
            self.labels[label_of(lemma, text)] += 1
        return _weakest(owners, box_scores, mask_scores, samples.num_rows)


def _weakest(owners: np.ndarray, box: np.ndarray, mask: np.ndarray, rows: int) -> np.ndarray:
    weakest = np.full(rows, np.nan)
    np.fmin.at(weakest, owners, np.where(np.isnan(box), 1, box) * np.where(np.isnan(mask), 1, mask))
    return weakest


def _numbers(column: pa.Array) -> np.ndarray:
    """float64, nulls as NaN."""
    return np.asarray(column.cast(pa.float64()).fill_null(float("nan")))
