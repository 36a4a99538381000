# SPDX-License-Identifier: Apache-2.0
"""How fast samples come out of our shards: by the trainer's reader, webdataset, Ray Data and datasets.

All read the same tars, over and over if there are few, in one process, and give a decoded picture (RGB, its
own size) and the parsed record of each sample. Ours reads by offsets, in the trainer's
shuffled order; the others read from beginning to end.

COMMAND  python -m benchmarks.readers DATASET [--samples 4000] [--rounds 5]
"""

import argparse
import io
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from pipeline.errors import UserError
from pipeline.train.order import Order
from pipeline.train.shards import DatasetShards

Read = Callable[[Path], Iterator[tuple[Image.Image, dict[str, Any]]]]


def main() -> None:
    """Print samples a second of each, and beside ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--samples", type=int, default=4000, help="of each reader in a round")
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
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(arguments.rounds):
        for name, read in readers.items():
            rates[name].append(_rate(read, arguments.dataset, arguments.samples))
    print("| reader | samples/s | ours beside it |\n|---|---|---|")
    for name, some in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["ours, any order"], some, strict=True)]
        print(
            f"| {name} | {median(some):.0f} ({min(some):.0f} to {max(some):.0f}) | {median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


def _rate(read: Read, dataset: Path, samples: int) -> float:
    """Samples a second from the second sample on: whatever has to start has started then."""
    passes = itertools.chain.from_iterable(read(dataset) for _ in itertools.count())
    next(passes)
    began = time.perf_counter()
    for image, record in itertools.islice(passes, samples):
        assert image.mode == "RGB"
        assert record["entities"] is not None
    return samples / (time.perf_counter() - began)


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
    for row in rows:
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
