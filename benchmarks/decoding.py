# SPDX-License-Identifier: Apache-2.0
"""What it is worth to decode the next batch's pictures beside the model.

The miniature's segmenter on large JPEGs, in one process, its model in one thread: with one thread for
pictures each is decoded where it is asked for, with more those of the next batch are decoded meanwhile.

COMMAND  python -m benchmarks.decoding [--side 2000] [--threads 1 2] [--rounds 5]
"""

import argparse
import io
import time
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from benchmarks.quality import CONFIG
from benchmarks.spread import spread, table_head
from models.miniature.world import render_scene, sample_scene
from pipeline.config import load_config
from stages.base import Resources, TableFunction
from stages.columns import ENTITY, LEDGER, OK

_PICTURES = 32


class Stage(NamedTuple):
    """The segmenter with some threads."""

    threads: int
    work: TableFunction


def main() -> None:
    """Print a row for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2000, help="pixels of a square picture")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    segment = load_config(CONFIG).stages["segment"]
    stages = [
        Stage(threads, replace(segment, resources=Resources(decoders=threads)).setup())
        for threads in arguments.threads
    ]
    table = _table(arguments.side)
    rates: dict[int, list[float]] = {stage.threads: [] for stage in stages}
    for number in range(arguments.rounds + 1):
        for stage in stages:
            began = time.perf_counter()
            found = stage.work(table)
            assert set(found["status"].to_pylist()) == {OK}
            # The first is for whatever has to start.
            if number:
                rates[stage.threads].append(_PICTURES / (time.perf_counter() - began))
    print(table_head("threads for pictures", "images/s", "of the first's"))
    for threads, some in rates.items():
        ratios = [one / other for one, other in zip(some, rates[arguments.threads[0]], strict=True)]
        print(f"| {threads} | {spread(some, 1)} | {spread(ratios)} |")


def _table(side: int) -> pa.Table:
    rows = []
    for place in range(_PICTURES):
        scene = render_scene(sample_scene(17, place), 256)
        stream = io.BytesIO()
        scene.image.resize((side, side)).save(stream, "JPEG", quality=90)
        box = [edge * side / 256 for edge in scene.subjects[0].box]
        rows.append(
            {
                **{"key": f"00000-{place:05d}", "source_key": str(place), "source_uri": "", "status": OK},
                **{"image": stream.getvalue(), "entities": [{"id": 1, "box": box}]},
            }
        )
    columns = [pa.field("image", pa.binary()), pa.field("entities", pa.list_(ENTITY))]
    return pa.Table.from_pylist(rows, pa.schema([*LEDGER, *columns]))


if __name__ == "__main__":
    main()
