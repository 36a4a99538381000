# SPDX-License-Identifier: Apache-2.0
"""How fast samples come out of our shards: by the trainer's reader, webdataset, Ray Data and datasets.

All read the same tars once from beginning to end and give a decoded picture (RGB, its own size) and the
parsed record of each sample, to one process; Ray Data reads in others beside it, as it always does. Ours
reads by offsets, in the trainer's shuffled order. What a reader takes to start, until its first sample is
there, is told apart.

COMMAND  python -m benchmarks.readers DATASET [--rounds 5]
"""

import argparse
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from benchmarks.spread import spread, table_head
from pipeline.errors import UserError
from pipeline.train.order import Order
from pipeline.train.shards import DatasetShards

Read = Callable[[Path], Iterator[tuple[Image.Image, dict[str, Any]]]]


class _Pass(NamedTuple):
    """Through all samples once."""

    start: float
    """Seconds until the first is there."""
    rate: float
    """Samples a second from then on."""
    samples: int


def main() -> None:
    """Print samples a second of each, and beside ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    readers: dict[str, Read] = {
        "ours, any order": _ours,
        "webdataset": _webdataset,
        "datasets": _datasets,
        "Ray Data": _ray_data,
    }
    try:
        DatasetShards(arguments.dataset)
    except UserError as error:
        parser.error(str(error))
    passes: dict[str, list[_Pass]] = {name: [] for name in readers}
    for _ in range(arguments.rounds):
        for name, read in readers.items():
            passes[name].append(_pass(read, arguments.dataset))
    ours = [each.rate for each in passes["ours, any order"]]
    print(table_head("reader", "first sample, s", "samples/s from then on", "ours beside it", "samples"))
    for name, some in passes.items():
        starts, rates = [each.start for each in some], [each.rate for each in some]
        ratios = [own / theirs for own, theirs in zip(ours, rates, strict=True)]
        counts = ", ".join(map(str, sorted({each.samples for each in some})))
        print(f"| {name} | {spread(starts)} | {spread(rates, 0)} | {spread(ratios)} | {counts} |")


def _pass(read: Read, dataset: Path) -> _Pass:
    began, first, count = time.perf_counter(), 0.0, -1
    for image, record in read(dataset):
        assert image.mode == "RGB"
        assert record["entities"] is not None
        first = first or time.perf_counter()
        count += 1
    return _Pass(first - began, count / (time.perf_counter() - first), count + 1)


def _tars(dataset: Path) -> list[str]:
    return sorted(map(str, (dataset / "data").glob("*/*.tar")))


def _ours(dataset: Path) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    shards = DatasetShards(dataset)
    order = Order(shards.sizes)
    for position in range(order.epoch_size):
        members = shards.read(order.at(position))
        yield _picture(members["jpg"]), json.loads(members["json"])


def _webdataset(dataset: Path) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    import webdataset as wds

    found: Any = wds.compat.WebDataset(_tars(dataset), shardshuffle=False)
    for sample in found:
        yield _picture(sample["jpg"]), json.loads(sample["json"])


def _datasets(dataset: Path) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    import datasets

    datasets.disable_progress_bars()
    rows: Any = datasets.load_dataset(
        "webdataset", data_files={"train": _tars(dataset)}, split="train", streaming=True
    )
    # Without this it decodes the label maps too.
    for row in rows.select_columns(["jpg", "json"]):
        yield row["jpg"].convert("RGB"), row["json"]


def _ray_data(dataset: Path) -> Iterator[tuple[Image.Image, dict[str, Any]]]:
    import ray

    if not ray.is_initialized():
        ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.read_webdataset(_tars(dataset), decoder=None)
    for row in rows.iter_rows():
        yield _picture(row["jpg"]), json.loads(row["json"])


def _picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


if __name__ == "__main__":
    main()
